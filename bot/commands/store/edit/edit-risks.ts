// What a change of the settings of a store would break there now: it is asked of the agent before the change, and shown before anything is changed.

import type { AgentClient } from '../../../../protocol/client/agent-client.ts'
import { problem } from '../../../../protocol/problems.ts'
import type { Store, StorePatch } from '../../../../protocol/store.ts'
import { formatTime } from '../../../../protocol/time.ts'
import type { StoreRecord } from '../../../fleet/registry.ts'
import { plural } from '../../../../protocol/views/phrases.ts'
import { makeView } from '../../../../protocol/views/view.ts'
import type { View } from '../../../../protocol/views/view.ts'
import type { CommandContext } from '../../command.ts'
import { quoteOption, quoteWord } from '../../../views/quote.ts'
import { askStore } from '../../select.ts'

/** The flag with which a change is made although it breaks running work. */
export const ANYWAY = 'anyway'

/** Work that brings images, as far as it is known: at least so much. */
export interface ArrivingWork {
  readonly store: Store
  readonly uploads: number
  readonly imports: number
  readonly syncs: number
}

/** Returns what a change would break, one sentence each; nothing for a change that can be made without asking. */
export function risksOf(patch: StorePatch, { store, uploads, imports, syncs }: ArrivingWork): string[] {
  const risks: string[] = []
  const counted = [plural(uploads, 'upload'), plural(imports, 'import'), plural(syncs, 'sync', 'syncs')].filter((words) => !words.startsWith('0 '))
  if (patch.reserved !== undefined && counted.length > 0) {
    const reserved = patch.reserved ?? store.reserve?.configured ?? store.capacity.reserved
    const isFull = store.capacity.free <= reserved
    if (isFull) risks.push(`No space would be left above the reserve: ${counted.join(', ')} in progress may fail.`)
  }
  const arriving = [plural(imports, 'import'), plural(syncs, 'sync', 'syncs')].filter((words) => !words.startsWith('0 ')).join(', ')
  if (patch.imagesEnabled === false && imports > 0)
    risks.push(`New images would be refused: of ${plural(imports, 'import')} in progress, those fail that have not begun to store bytes.`)
  if (patch.kinds !== undefined && arriving !== '' && isNarrower(patch.kinds ?? store.kinds?.configured ?? [], store.kinds?.accepted ?? []))
    risks.push(`Other kinds would be refused: of ${arriving} in progress, images of other kinds fail that have not begun to store bytes.`)
  return risks
}

/** Whether a store that took `before` would refuse something with `after`; an empty list takes all kinds. */
function isNarrower(after: readonly string[], before: readonly string[]): boolean {
  return after.length > 0 && (before.length === 0 || before.some((kind) => !after.includes(kind)))
}

export interface RiskyEdit {
  readonly store: StoreRecord
  readonly patch: StorePatch
  /** The options of the command, to repeat it. */
  readonly options: Readonly<Partial<Record<string, string>>>
}

/** Returns the question before a change that would break running work; undefined for a change that does not. Throws ProblemError as `askStore` does. */
export async function askAboutRisks(context: CommandContext, { store, patch, options }: RiskyEdit): Promise<View | undefined> {
  if (patch.reserved === undefined && patch.kinds === undefined && patch.imagesEnabled !== false) return undefined
  const risks = risksOf(patch, await askStore(context, store, readArriving))
  if (risks.length === 0) return undefined
  // The question repeats the command, and a token must not be shown.
  if (options['token'] !== undefined)
    throw problem('conflict', `${risks.join(' ')} Nothing was changed.`, { action: 'Change the token by itself first, then the other settings.' })
  const words = Object.entries(options).flatMap(([key, value]) => (value === undefined ? [] : [quoteOption(key, value)]))
  const command = ['store edit', quoteWord(store.name), ...words, `--${ANYWAY}`].join(' ')
  const asOfMs = context.clock.nowMs()
  return makeView({
    outcome: 'refused',
    tone: 'warning',
    title: `Change of ${store.name}`,
    text: `${risks.join(' ')} Nothing was changed.`,
    fields: [{ label: 'Next', value: `Wait until they have ended (task list store=${quoteWord(store.name)}), or run ${command}` }],
    actions: [
      { label: 'Change anyway', command, role: 'admin', style: 'danger' },
      { label: `Tasks of ${store.name}`, command: `task list ${quoteOption('store', store.name)}`, role: 'viewer' },
    ],
    asOfMs,
    json: { risks, next: command, asOf: formatTime(asOfMs) },
  })
}

async function readArriving(agent: AgentClient): Promise<ArrivingWork> {
  const count = async (kind: string): Promise<number> => {
    let tasks = 0
    for (const state of ['running', 'queued']) tasks += (await agent.tasks.list({ kind, state })).items.length
    return tasks
  }
  const store = await agent.store.get()
  return { store, uploads: store.uploads.active, imports: await count('import'), syncs: await count('sync') }
}
