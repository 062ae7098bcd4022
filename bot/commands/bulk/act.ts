// Acts on one item of a bulk run. Each operation first looks whether it was done already, so that an item whose bot was killed in between is not acted upon twice.

import { isDeepStrictEqual } from 'node:util'
import type { AgentClient } from '../../../protocol/client/agent-client.ts'
import type { Image, ImagePatch } from '../../../protocol/images/image.ts'
import { makeProblem, problem, ProblemError } from '../../../protocol/problems.ts'
import type { Problem } from '../../../protocol/problems.ts'
import { syncResultSchema } from '../../../protocol/sync/sync.ts'
import { roleIncludes } from '../../../protocol/access.ts'
import { roleIn } from '../permit.ts'
import type { CommandContext } from '../command.ts'
import { orderSync } from '../image/copy/order-sync.ts'
import { askStore, orUndefined } from '../select.ts'
import { followTasks, tasksView } from '../task/task-view.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { copyEnd } from '../policy/settle-runs.ts'
import type { FollowedTask } from '../../../protocol/views/view.ts'
import type { BulkItem, BulkRun } from '../../bulk/bulk-run.ts'

/** How an item ended. `left`: the process stops, and the task goes on in its store. `image` is the image afterwards; undefined once it is gone. */
export type Acted =
  | { readonly kind: 'done'; readonly detail: string; readonly image?: Image | undefined; readonly task?: FollowedTask | undefined }
  | { readonly kind: 'failed'; readonly problem: Problem; readonly task?: FollowedTask | undefined }
  | { readonly kind: 'left' }

export interface ActDeps {
  readonly context: CommandContext
  readonly run: Pick<BulkRun, 'verb' | 'params'>
  readonly item: BulkItem
  /** Ends the following of a task, which goes on in its store. */
  readonly signal: AbortSignal | undefined
  /** Receives the task that works on the item, before it is followed. */
  readonly onTask: (task: FollowedTask) => void
  readonly onProgress: (task: FollowedTask) => void
}

/** Acts on an item. Throws only for bugs. */
export async function act(deps: ActDeps): Promise<Acted> {
  const { context, item, run, signal } = deps
  try {
    const store = storeOf(context, item.store)
    switch (run.verb) {
      case 'sync':
        return await copy(deps, store)
      case 'migrate':
        return await move(deps, store)
      case 'delete':
      case 'purge':
      case 'restore':
      case 'protect':
      case 'unprotect':
      case 'edit':
        return await askStore(context, store, (agent) => change(deps, agent))
    }
  } catch (error) {
    if (signal?.aborted) return { kind: 'left' }
    if (error instanceof ProblemError) return { kind: 'failed', problem: error.problem }
    throw error
  }
}

/** The store with this name, if the person still has the role in it. */
function storeOf({ fleet, actor }: CommandContext, name: string): StoreRecord {
  const store = fleet.registry.find(name)
  if (!store) throw problem('not-found', `${name} was removed meanwhile.`, { action: 'See store list.' })
  const role = roleIn(actor, store)
  if (roleIncludes(role, 'operator')) return store
  throw problem('forbidden', `${actor.name} has the role ${role} in ${name} now.`, { action: 'Ask an admin of the bot to run it or to give you the role.' })
}

async function change({ run, item }: ActDeps, agent: AgentClient): Promise<Acted> {
  const { image: id, name, params } = item
  const before = await orUndefined(agent.images.get(id))
  switch (run.verb) {
    case 'delete': {
      if (!before || before.status === 'deleted' || before.status === 'deleting') return { kind: 'done', detail: 'Was deleted already', image: before }
      const after = await agent.images.delete(id)
      return {
        kind: 'done',
        detail: after ? 'Moved to the recycle bin' : 'Deleted for good',
        image: after ?? { ...before, status: 'deleted', expiresAt: null },
      }
    }
    case 'purge':
      if (!before || before.status === 'deleting') return { kind: 'done', detail: 'Was deleted for good already' }
      // An image that was restored since the question is not purged.
      if (params.wasDeleted && before.status !== 'deleted')
        throw problem('wrong-status', `${name} was restored.`, { action: 'Name it if you want to purge it anyway.' })
      await agent.images.delete(id, { permanent: true })
      return { kind: 'done', detail: 'Deleted for good' }
    case 'restore':
      if (before && before.status !== 'deleted') return { kind: 'done', detail: 'Was restored already', image: before }
      return { kind: 'done', detail: 'Restored', image: await agent.images.restore(id) }
    case 'protect':
    case 'unprotect':
    case 'edit': {
      const patch = patchOf(run, item)
      if (before && hasPatch(before, patch)) return { kind: 'done', detail: 'Was so already', image: before }
      return { kind: 'done', detail: 'Changed', image: await agent.images.patch(id, patch) }
    }
    case 'sync':
    case 'migrate':
      throw new Error('a copy is no change of an image')
  }
}

function patchOf({ verb, params }: ActDeps['run'], item: BulkItem): ImagePatch {
  return verb === 'edit' ? { ...params.patch, ...item.params.patch } : { protected: verb === 'protect' }
}

/** Whether an image is already as a change would make it. */
function hasPatch(image: Image, { labels = {}, ...members }: ImagePatch): boolean {
  const isSame = Object.entries(members).every(([key, value]) => isDeepStrictEqual(image[key as keyof Image], value))
  return isSame && Object.entries(labels).every(([key, value]) => (image.labels[key] ?? null) === value)
}

/** Copies an image into a store. A sync that was ordered without being recorded is ordered again, which returns the running task. */
async function copy(deps: ActDeps, target: StoreRecord): Promise<Acted> {
  const { context, run, item } = deps
  const ended = await followed(deps, target, async () => {
    const [source, ...others] = (item.params.from ?? []).map((name) => storeOf(context, name))
    if (!source) throw problem('not-found', `No store to copy ${item.name} from is known any more.`, { action: 'Order the copy again with image sync.' })
    const { limits } = run.params
    return orderSync(context, { source, others, target, images: [item.image], ...(limits ? { request: { limits } } : {}) })
  })
  const end = copyEnd(ended.task, item.image)
  if (end?.kind === 'copied') return { kind: 'done', detail: copiedWords(ended), task: ended }
  return {
    kind: 'failed',
    problem: ended.task.error ?? makeProblem('cancelled', end?.kind === 'failed' ? end.reason : `The task ${ended.task.id} ended.`),
    task: ended,
  }
}

/** Follows the recorded task of an item, or one that is ordered now, until it ends. */
async function followed(
  { context, item, signal, onTask, onProgress }: ActDeps,
  target: StoreRecord,
  order: () => Promise<FollowedTask>,
): Promise<FollowedTask> {
  const known = item.task === '' ? undefined : await askStore(context, target, (agent) => orUndefined(agent.tasks.get(item.task)))
  let last = known ? { store: target.name, task: known } : await order()
  onTask(last)
  for await (const view of followTasks(context, tasksView('', [last], context.clock.nowMs()), signal)) {
    last = view.progress[0] ?? last
    onProgress(last)
  }
  return last
}

function copiedWords({ task }: FollowedTask): string {
  const outcome = syncResultSchema.safeParse(task.result).data?.images[0]?.outcome
  return outcome === 'already-there' || outcome === 'same-as' ? 'Was there already' : 'Copied'
}

/** Moves an image: copies it, checks the copy, then deletes the original. Until the copy is checked, nothing is deleted. */
async function move(deps: ActDeps, source: StoreRecord): Promise<Acted> {
  const { context, item } = deps
  const target = storeOf(context, item.params.to ?? '')
  const original = await askStore(context, source, (agent) => orUndefined(agent.images.get(item.image)))
  const isGone = !original || original.status === 'deleted' || original.status === 'deleting'
  if (isGone) {
    const there = await copyOf(context, target, item)
    if (there?.status === 'available') return { kind: 'done', detail: `Was moved to ${target.name} already`, image: there }
    throw problem('not-found', `${item.name} is no longer in ${source.name}.`, { action: `See image bin store=${source.name} and image show ${item.image}.` })
  }
  const ended = await followed(deps, target, () => orderSync(context, { source, target, images: [item.image] }))
  const end = copyEnd(ended.task, item.image)
  if (end?.kind !== 'copied') {
    const why = ended.task.error ?? makeProblem('cancelled', `The task ${ended.task.id} ended.`)
    return { kind: 'failed', problem: { ...why, detail: `${why.detail} ${item.name} is still in ${source.name}: nothing was deleted.` }, task: ended }
  }
  const copied = await checkedCopy(context, { original, source, target, copied: ended })
  const deleted = await askStore(context, source, (agent) => agent.images.delete(item.image))
  const left = deleted ? `It is in the recycle bin of ${source.name}.` : `It was deleted for good in ${source.name}.`
  return { kind: 'done', detail: left, image: copied, task: ended }
}

/** The copy of an image that is no longer where it was: under its id, or under that which the recorded task found to have the same content. */
function copyOf(context: CommandContext, target: StoreRecord, { image, task }: BulkItem): Promise<Image | undefined> {
  return askStore(context, target, async (agent) => {
    const known = task === '' ? undefined : await orUndefined(agent.tasks.get(task))
    const result = syncResultSchema.safeParse(known?.result).data?.images[0]
    return orUndefined(agent.images.get(result?.sameAs ?? image))
  })
}

interface Moved {
  readonly original: Image
  readonly source: StoreRecord
  readonly target: StoreRecord
  readonly copied: FollowedTask
}

/** Returns the copy. Throws ProblemError unless it is available and has the content of the image. */
async function checkedCopy(context: CommandContext, { original, source, target, copied }: Moved): Promise<Image> {
  const result = syncResultSchema.safeParse(copied.task.result).data?.images[0]
  const there = await askStore(context, target, (agent) => agent.images.get(result?.sameAs ?? original.id))
  const isSame =
    there.length === original.length && (there.manifestDigest === original.manifestDigest || (there.digest !== null && there.digest === original.digest))
  if (there.status === 'available' && isSame) return there
  const why = there.status === 'available' ? 'has other content' : `is ${there.status}`
  throw problem('conflict', `The copy of ${original.name} in ${target.name} ${why}, so the image in ${source.name} was not deleted.`, {
    action: `Look at it with image show ${there.id}, then run the command again.`,
  })
}
