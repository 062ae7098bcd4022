// `store reconcile S`: lists what the catalogue of a store and its mount path disagree about. With `--apply` it runs the actions of findings, after
// the name of the store was typed.

import { FINDINGS_APPLIED_MAX, reconcileResultSchema } from '../../../protocol/reconcile.ts'
import type { Finding, ReconcileRequest, ReconcileResult } from '../../../protocol/reconcile.ts'
import { problem, ProblemError } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import type { Task } from '../../../protocol/task.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { formatBytes, formatWireTime, isEnded, plural, UNKNOWN } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { Column, View } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import type { CommandContext } from '../command.ts'
import { gate } from '../destroy.ts'
import { quoteWord } from '../../views/quote.ts'
import { askStore, oneStore } from '../select.ts'
import { tasksView } from '../task/task-view.ts'

/** How long the command waits for the comparison; a longer one is shown as its task. In milliseconds. */
const WAIT_MS_MAX = 60_000
const LOOK_MS = 200

const COLUMNS: readonly Column[] = [
  { key: 'id', label: 'Finding', isWhole: true },
  { key: 'what', label: 'What' },
  { key: 'bytes', label: 'Bytes', align: 'right' },
  { key: 'since', label: 'Since', isMinor: true },
  { key: 'effect', label: 'Action' },
]

export const storeReconcile = defineCommand({
  noun: 'store',
  verb: 'reconcile',
  summary: 'Compares the catalogue of a store with its mount path, and cleans up what you name',
  role: 'operator',
  effect: 'destroy',
  targets: [
    { name: 'S', about: 'name of a store', subject: 'store' },
    { name: 'F', about: 'ids of findings, with --apply; all findings by default', subject: 'text', optional: true, many: true },
  ],
  options: { instances: { about: 'all instances that exist; captures of others are findings', value: 'A,B' } },
  flags: { apply: 'runs the actions of the findings' },
  examples: ['store reconcile edge-a', 'store reconcile edge-a --apply fnd_0123456789abcdef --confirm edge-a'],
  async run(context, input) {
    const [name, ...ids] = input.targets
    const store = oneStore(context, name)
    if (ids.length > 0 && !input.flags.has('apply'))
      throw problem('invalid-input', 'store reconcile lists all findings.', { action: 'Add --apply to run the actions of these findings.' })
    const list = input.options.instances?.split(',').map((word) => word.trim())
    const instances = list && { instances: list.filter((word) => word !== '') }
    const seen = await compare(context, store, { ...instances })
    if (seen.result === undefined) return tasksView(`Reconcile of ${store.name}`, [{ store: store.name, task: seen.task }], context.clock.nowMs())
    if (!input.flags.has('apply')) return findingsView(context, store, seen.result)
    const chosen = choose(seen.result, ids)
    if (chosen.length === 0) return findingsView(context, store, seen.result)
    const refusal = gate(context, input, {
      title: `Reconcile ${store.name}`,
      names: [store.name],
      question: `${plural(chosen.length, 'action')} would run: ${chosen.map(({ target, effect }) => `${target}: ${effect}`).join(' ')}`,
      essence: chosen.map(({ id }) => id),
      checklist: [],
      command: [
        'store reconcile',
        quoteWord(store.name),
        ...chosen.map(({ id }) => id),
        ...(list ? [`instances=${quoteWord(list.join(','))}`] : []),
        '--apply',
      ].join(' '),
    })
    if (refusal) return refusal
    const done = await compare(context, store, { apply: chosen.map(({ id }) => id), ...instances })
    return done.result === undefined
      ? tasksView(`Reconcile of ${store.name}`, [{ store: store.name, task: done.task }], context.clock.nowMs())
      : appliedView(context, store, done.result)
  },
})

/** Starts a comparison and waits for its end. Without a result, it goes on. Throws the problem of a comparison that failed. */
async function compare(context: CommandContext, store: StoreRecord, request: ReconcileRequest): Promise<{ task: Task; result?: ReconcileResult }> {
  let task = await askStore(context, store, (agent) => agent.store.reconcile(request))
  const endMs = context.clock.nowMs() + WAIT_MS_MAX
  while (!isEnded(task.state) && context.clock.nowMs() < endMs) {
    await context.clock.sleep(LOOK_MS, context.signal)
    task = await askStore(context, store, (agent) => agent.tasks.get(task.id))
  }
  if (task.error) throw new ProblemError(task.error)
  return task.state === 'succeeded' ? { task, result: reconcileResultSchema.parse(task.result) } : { task }
}

/** Returns the findings with these ids, or all. Throws `not-found`. */
function choose({ findings }: ReconcileResult, ids: readonly string[]): Finding[] {
  const chosen = ids.length === 0 ? findings : findings.filter(({ id }) => ids.includes(id))
  const unknown = ids.find((id) => !chosen.some((finding) => finding.id === id))
  if (unknown !== undefined)
    throw problem('not-found', `There is no finding ${unknown}.`, { action: 'List the findings again: what they name may have changed.' })
  return chosen.slice(0, FINDINGS_APPLIED_MAX)
}

function findingsView(context: CommandContext, store: StoreRecord, result: ReconcileResult): View {
  const { findings, counts } = result
  const count = Object.values(counts).reduce((sum, one) => sum + one, 0)
  const name = quoteWord(store.name)
  return makeView({
    title: `Reconcile of ${store.name}`,
    tone: count === 0 ? 'good' : 'warning',
    text: count === 0 ? 'Catalogue and mount path agree.' : `${plural(count, 'finding')}. Nothing was changed.`,
    columns: count === 0 ? [] : COLUMNS,
    rows: findings.map(({ id, what, bytes, since, effect }) => ({
      tone: 'warning',
      cells: { id, what, bytes: bytes === null ? UNKNOWN : formatBytes(bytes), since: since === null ? UNKNOWN : formatWireTime(since), effect },
    })),
    notes: count > findings.length ? [`${count - findings.length} more findings are not listed. Run the actions of these, then look again.`] : [],
    actions: count === 0 ? [] : [{ label: 'Run all actions', command: `store reconcile ${name} --apply`, role: 'operator', style: 'danger' }],
    asOfMs: context.clock.nowMs(),
    json: { store: store.name, ...result, asOf: formatTime(context.clock.nowMs()) },
  })
}

function appliedView(context: CommandContext, store: StoreRecord, result: ReconcileResult): View {
  const { applied, absent } = result
  const refused = applied.filter(({ outcome }) => outcome === 'refused')
  return makeView({
    title: `Reconcile of ${store.name}`,
    ...(refused.length > 0 ? { outcome: 'failed' as const, tone: 'bad' as const } : {}),
    text: `${plural(applied.length - refused.length, 'action')} done, ${refused.length} refused.`,
    columns: [
      { key: 'target', label: 'What', isWhole: true },
      { key: 'outcome', label: 'Outcome' },
      { key: 'detail', label: 'Detail' },
    ],
    rows: applied.map(({ target, outcome, detail }) => ({ tone: outcome === 'done' ? 'good' : 'bad', cells: { target, outcome, detail } })),
    notes: absent.length > 0 ? [`${plural(absent.length, 'finding')} changed meanwhile, and nothing was done about it.`] : [],
    asOfMs: context.clock.nowMs(),
    json: { store: store.name, ...result, asOf: formatTime(context.clock.nowMs()) },
  })
}
