// Recognises a store that is registered already, by its name and by its UUID: a store has one record, wherever it answers.

import { makeProblem } from '../../../protocol/problems.ts'
import type { Store } from '../../../protocol/store.ts'
import type { Connectivity } from '../../fleet/connectivity.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { seeStores } from '../../fleet/see.ts'
import type { Action, View } from '../../../protocol/views/view.ts'
import type { CommandContext } from '../command.ts'
import { quoteOption, quoteWord } from '../../views/quote.ts'
import { problemView } from '../run.ts'
import { showView } from './show/show.ts'
import { failedTest, stepTable } from './test-steps.ts'

/** The words of `store add`. */
export interface Wanted {
  readonly name: string
  readonly url: string
  readonly token: string
  readonly zone: string
  /** Undefined when it was not given: any registered one is right. */
  readonly provider: string | undefined
}

/** In what a registered store differs from the words of `store add`, in words that tell no secret. */
export function differences(record: StoreRecord, { url, token, zone, provider = record.provider }: Omit<Wanted, 'name'>): string[] {
  return [
    ...(record.url === url ? [] : [`url is ${record.url}, not ${url}`]),
    ...(record.zone === zone ? [] : [`zone is ${record.zone}, not ${zone}`]),
    ...(record.provider === provider ? [] : [`provider is ${record.provider}, not ${provider}`]),
    ...(record.token === token ? [] : ['the token is another one']),
  ]
}

/** The registered store with the UUID of this one. */
export function twinOf({ fleet }: Pick<CommandContext, 'fleet'>, { id }: Pick<Store, 'id'>): StoreRecord | undefined {
  return fleet.registry.list().find(({ storeId }) => storeId === id)
}

/** The answer when the store is registered with the same values. */
export async function alreadyThere(context: CommandContext, record: StoreRecord): Promise<View> {
  const [seen] = await seeStores(context, [record], false)
  if (!seen) throw new Error('a store is registered and none observed')
  return {
    ...showView(seen, context.clock.nowMs()),
    title: `Store ${record.name} is there already`,
    text: 'It is registered with the same values. Nothing was changed.',
  }
}

export interface Conflict {
  /** The store with the same name or the same UUID. */
  readonly known: StoreRecord
  readonly wanted: Wanted
  /** Undefined when the address is the registered one: no test is needed to see the conflict. */
  readonly tested?: Connectivity
}

/** The answer when the name or the store is registered with other values: what differs, and how to change it. */
export function conflictView(context: CommandContext, { known, wanted, tested }: Conflict): View {
  const differs = differences(known, wanted)
  const isTwin = tested === undefined || (tested.kind === 'connected' && tested.store.id === known.storeId)
  if (!isTwin) {
    // The name is taken by a store that this one is not, as far as the test can say.
    if (tested.kind === 'failed' && known.url !== wanted.url)
      return failedTest(context, tested, `A store ${known.name} is registered already, at ${known.url}.`)
    const detail = `A store ${known.name} is registered already, at ${known.url}. It differs: ${differs.join('; ')}.`
    return conflict(context, { detail, action: 'Choose another name, or change it with store edit.', actions: [], tested })
  }
  const hasMoved = known.url !== wanted.url
  const edit = `store edit ${quoteWord(known.name)}`
  const isNamed = known.name.toLowerCase() === wanted.name.toLowerCase()
  const sentences = isNamed
    ? [`A store ${known.name} is registered already, at ${known.url}.`]
    : [`This store is registered already, as ${known.name} at ${known.url}: it has the same UUID ${known.storeId}.`]
  if (hasMoved) sentences.push(`The same store answers at ${wanted.url} now.`)
  if (differs.length > 0) sentences.push(`It differs: ${differs.join('; ')}.`)
  const changes = [
    ...(hasMoved ? [quoteOption('url', wanted.url)] : []),
    ...(known.zone === wanted.zone ? [] : [quoteOption('zone', wanted.zone)]),
    ...(wanted.provider === undefined || wanted.provider === known.provider ? [] : [quoteOption('provider', wanted.provider)]),
  ]
  const words = [...changes, ...(known.token === wanted.token ? [] : ['token=…'])]
  const rename = isNamed ? '' : ` For the new name: ${edit} ${quoteOption('name', wanted.name)}.`
  return conflict(context, {
    detail: sentences.join(' '),
    action: `${words.length === 0 ? `Use the name ${known.name}.` : `Change the registration: ${edit} ${words.join(' ')}.`}${rename}`,
    // A button carries no token: it works while the registered one is accepted.
    actions:
      changes.length === 0
        ? []
        : [{ label: hasMoved ? `Point ${known.name} to ${wanted.url}` : `Change ${known.name}`, command: `${edit} ${changes.join(' ')}`, role: 'admin' }],
    tested,
  })
}

interface ConflictWords {
  readonly detail: string
  readonly action: string
  readonly actions: readonly Action[]
  readonly tested: Connectivity | undefined
}

function conflict(context: CommandContext, { detail, action, actions, tested }: ConflictWords): View {
  const view = problemView(context, makeProblem('conflict', `${detail} Nothing was changed.`, { action }), 'failed')
  return { ...view, actions, ...(tested ? stepTable(tested.steps) : {}) }
}
