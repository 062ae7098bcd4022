// `store delete S…`: removes stores from the registry. The mount path is not touched: a store that is added again has all of its
// images. With `copy-to=` it first copies what exists only there, and with `repoint-to=` policies and bindings name another store.

import { problem } from '../../../../protocol/problems.ts'
import { formatTime } from '../../../../protocol/time.ts'
import { observeAll } from '../../../fleet/observe.ts'
import type { Observation } from '../../../fleet/judge.ts'
import type { StoreRecord } from '../../../fleet/registry.ts'
import { makeView } from '../../../../protocol/views/view.ts'
import type { ChecklistItem, FollowedTask, View } from '../../../../protocol/views/view.ts'
import type { CommandContext, CommandInput } from '../../command.ts'
import { defineCommand } from '../../command.ts'
import { gate } from '../../destroy.ts'
import type { DestroyPlan } from '../../destroy.ts'
import type { ApprovalNeed } from '../../second-person.ts'
import { oneStore } from '../../select.ts'
import { quoteOption, quoteWord } from '../../../views/quote.ts'
import { tasksView } from '../../task/task-view.ts'
import { copyAway, startCopies } from './delete-copies.ts'
import { planDelete } from './delete-plan.ts'
import type { DeletePlan } from './delete-plan.ts'
import { moveBindings } from '../edit/repoint.ts'

/** Options of commands that remove stores. */
export const DELETE_OPTIONS = {
  'copy-to': { about: 'store that gets the images that exist only there, before they are removed', value: 'S', subject: 'store' },
  'repoint-to': { about: 'store that policies and bindings name instead', value: 'S', subject: 'store' },
} as const
export const DELETE_FLAGS = { unreachable: 'deletes a store that does not answer, although its tasks cannot be checked' } as const

export const storeDelete = defineCommand({
  noun: 'store',
  verb: 'delete',
  summary: 'Removes stores from the registry; their images stay on their mount paths',
  role: 'admin',
  effect: 'destroy',
  targets: [{ name: 'S', about: 'name of a store', subject: 'store', many: true }],
  options: DELETE_OPTIONS,
  flags: DELETE_FLAGS,
  examples: ['store delete edge-a --confirm edge-a', 'store delete edge-a copy-to=edge-b repoint-to=edge-b'],
  run(context, input) {
    const stores = [...new Map(input.targets.map((target) => oneStore(context, target)).map((store) => [store.name, store])).values()]
    const names = stores.map(({ name }) => name)
    return removeStores(context, input, {
      stores,
      names,
      command: ['store delete', ...names.map(quoteWord)],
      title: `Delete ${names.join(', ')} from the registry`,
      question: `${names.join(', ')} would be removed from the registry. The images stay on the mount path and are back when the store is added again.`,
      checklist: () => [],
      remove: () => {
        for (const name of names) context.fleet.registry.remove(name)
      },
      removed: {
        title: `Removed ${names.join(', ')} from the registry`,
        text: 'The images stay on the mount path. store add brings them back.',
        json: { removed: names },
      },
    })
  },
})

export type DeleteInput = CommandInput<'copy-to' | 'repoint-to', 'unreachable'>

/** Stores that are removed from the registry, and what goes with them. */
export interface Removal {
  readonly stores: readonly StoreRecord[]
  /** Names to type. */
  readonly names: readonly string[]
  /** The command without options and flags. */
  readonly command: readonly string[]
  readonly title: string
  readonly question: string
  /** What is checked besides the stores. */
  readonly checklist: () => readonly ChecklistItem[]
  readonly remove: () => void
  readonly removed: { readonly title: string; readonly text: string; readonly json: Readonly<Record<string, unknown>> }
}

/** Removes stores after the checklist and the typed names, and first makes the copies and changes that the options ask for. */
export async function removeStores(context: CommandContext, input: DeleteInput, removal: Removal): Promise<View> {
  const look = (): Promise<DeletePlan> => planFor(context, removal.stores, input)
  const plan = await look()
  const refusal = gate(context, input, destroyPlan(context, removal, input, plan))
  if (refusal) return refusal
  const copied = await copyFirst(context, removal, plan)
  if (copied.kind === 'ended') return copied.view
  // Copying takes a while: everything is checked again, and nothing may exist only there now.
  const now = copied.kind === 'copied' ? await look() : plan
  const again = gate(context, { confirm: input.confirm, plan: undefined }, destroyPlan(context, removal, input, now))
  if (again) return again
  if (hasCopies(now)) return { ...changedView(context, removal), notes: now.notes }
  await repoint(context, removal.stores, input, now)
  removal.remove()
  return removedView(context, removal, copied.tasks)
}

async function planFor(context: CommandContext, stores: readonly StoreRecord[], { options, flags }: DeleteInput): Promise<DeletePlan> {
  const target = async (option: 'copy-to' | 'repoint-to'): Promise<Observation | undefined> => {
    const name = options[option]
    if (name === undefined) return undefined
    const record = oneStore(context, name)
    if (stores.some((store) => store.name === record.name))
      throw problem('invalid-input', `${record.name} is to be removed itself.`, { action: `Name another store in ${option}=.` })
    return (await observeAll(context.fleet, [record]))[0]
  }
  const [copyTo, repointTo] = [await target('copy-to'), await target('repoint-to')]
  return planDelete(context, { stores: await observeAll(context.fleet, stores), isUnreachableAllowed: flags.has('unreachable'), copyTo, repointTo })
}

function destroyPlan(context: CommandContext, removal: Removal, { options, flags }: DeleteInput, plan: DeletePlan): DestroyPlan {
  const { names, command, title, question, checklist } = removal
  const given = Object.entries(options).map(([key, value]) => quoteOption(key, value ?? ''))
  return {
    title,
    names,
    question,
    essence: [...plan.essence, ...given],
    promises: plan.promises,
    checklist: [...checklist(), ...plan.items],
    command: [...command, ...given, ...[...flags].map((flag) => `--${flag}`)].join(' '),
    notes: plan.notes,
    // In Slack and on the page, a plan with copies only makes the copies; the removal comes with the next run.
    approval: context.surface !== 'console' && hasCopies(plan) ? undefined : removalNeed(removal.stores),
  }
}

function removalNeed(stores: readonly StoreRecord[]): ApprovalNeed | undefined {
  if (stores.length === 0) return undefined
  return {
    reason: `Without its registration, nobody watches ${stores.length === 1 ? 'the store' : 'the stores'} and copies what is there.`,
    subjects: stores.map(({ name, storeId }) => ({ kind: 'store', store: name, id: storeId ?? '', name })),
  }
}

function hasCopies({ copies }: DeletePlan): boolean {
  return copies.some(({ images }) => images.length > 0)
}

type Copied = { readonly kind: 'nothing' | 'copied'; readonly tasks: readonly FollowedTask[] } | { readonly kind: 'ended'; readonly view: View }

/** Makes the copies of the plan. In Slack and on the page nobody can wait for them, so the command ends with their tasks there. */
async function copyFirst(context: CommandContext, { stores, command }: Removal, plan: DeletePlan): Promise<Copied> {
  if (!hasCopies(plan)) return { kind: 'nothing', tasks: [] }
  const names = stores.map(({ name }) => name).join(', ')
  const tasks: FollowedTask[] = []
  for (const { target, images } of plan.copies) tasks.push(...(await (context.surface === 'console' ? copyAway : startCopies)(context, images, target)))
  const asOfMs = context.clock.nowMs()
  if (context.surface !== 'console') {
    const note = `${names} is not removed yet. When these copies have succeeded, run ${command.slice(0, 1).join(' ')} again.`
    return { kind: 'ended', view: tasksView(`Copies before ${names} is removed`, tasks, asOfMs, [note]) }
  }
  if (tasks.every(({ task }) => task.state === 'succeeded')) return { kind: 'copied', tasks }
  const failed = tasksView(`${names} was not removed`, tasks, asOfMs, [
    'Not every image was copied. What was copied is kept; correct the reason and run the command again.',
  ])
  return { kind: 'ended', view: { ...failed, outcome: 'failed', progress: [] } }
}

async function repoint(context: CommandContext, stores: readonly StoreRecord[], { options }: DeleteInput, plan: DeletePlan): Promise<void> {
  const name = options['repoint-to']
  if (name === undefined) return
  const target = oneStore(context, name)
  await moveBindings(context, plan.bindings, target, plan.remaining)
  for (const store of stores) {
    context.policies.repoint(store.name, target.name)
    context.hypervisors.move(store.name, target.name)
  }
}

function changedView(context: CommandContext, { stores }: Removal): View {
  const names = stores.map(({ name }) => name).join(', ')
  const asOfMs = context.clock.nowMs()
  return makeView({
    outcome: 'refused',
    title: `${names} was not removed`,
    tone: 'warning',
    text: `Images arrived that exist only in ${names} or are not in the other store yet. Run the command again: it copies them first.`,
    asOfMs,
    json: { removed: [], asOf: formatTime(asOfMs) },
  })
}

function removedView(context: CommandContext, { removed }: Removal, tasks: readonly FollowedTask[]): View {
  const asOfMs = context.clock.nowMs()
  return makeView({
    title: removed.title,
    text: removed.text,
    tone: 'good',
    fields: tasks.map(({ store, task }) => ({ label: `Copied to ${store}`, value: `${task.id}, ${task.state}` })),
    asOfMs,
    json: {
      ...removed.json,
      ...(tasks.length > 0 ? { tasks: tasks.map(({ store, task }) => ({ store, id: task.id, state: task.state })) } : {}),
      asOf: formatTime(asOfMs),
    },
  })
}
