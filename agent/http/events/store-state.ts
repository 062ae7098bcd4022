// The state that a stream of events sends: health, description and tasks in progress, as one caller may see them.

import type { Health } from '../../../protocol/health.ts'
import { STATE_TASKS_MAX } from '../../../protocol/store-state.ts'
import type { StoreState } from '../../../protocol/store-state.ts'
import type { Store } from '../../../protocol/store.ts'
import type { Task } from '../../../protocol/task.ts'
import type { Actor } from '../../contract/access.ts'
import type { EventLog, ShownTasks } from '../../contract/work.ts'
import { seenImages } from '../visible/image-mentions.ts'
import type { FindImage } from '../visible/image-mentions.ts'
import { isTaskSeen } from '../visible/seen-work.ts'

/** Most tasks that are counted: the limit of running and waiting tasks, and live work. */
const COUNTED_MAX = 1000
/** Longest subject and creator of a task, in characters. */
const TEXT_MAX = 256

export interface StoreStateDeps {
  readonly events: Pick<EventLog, 'latestId'>
  /** Returns the health as this caller may see it. */
  readonly health: (actor: Actor) => Promise<Health>
  /** Returns the store as this caller may see it. */
  readonly store: (actor: Actor) => Promise<Store>
  readonly tasks: Pick<ShownTasks, 'list' | 'isOrderedBy'>
  readonly findImage: FindImage
}

/** Returns a function that reads the state for a caller. */
export function createStoreStates(deps: StoreStateDeps): (actor: Actor) => Promise<StoreState> {
  return async (actor) => {
    // Read first: an event that is emitted while the rest is read comes after this position, so it is sent.
    const position = deps.events.latestId()
    const [health, store] = await Promise.all([deps.health(actor), described(deps, actor)])
    return { position, health, store, tasks: tasksOf(deps, actor) }
  }
}

async function described({ store }: StoreStateDeps, actor: Actor): Promise<Store | null> {
  try {
    return await store(actor)
  } catch {
    // The file system does not answer. The checks of the health name the reason, and GET /v1/store answers with it.
    return null
  }
}

function tasksOf({ tasks, findImage }: StoreStateDeps, actor: Actor): StoreState['tasks'] {
  const seen = seenImages(findImage, actor)
  const isOwn = (id: string): boolean => actor.tokenId !== undefined && tasks.isOrderedBy(id, actor.tokenId)
  const seenTasks = (state: 'running' | 'queued'): Task[] =>
    tasks.list({ state, limit: COUNTED_MAX }).items.filter((task) => isTaskSeen(task, seen, () => isOwn(task.id)))
  const running = seenTasks('running')
  const queued = seenTasks('queued')
  const items = [...running, ...queued].slice(0, STATE_TASKS_MAX).map(({ id, kind, state, subject, createdBy, progress }) => ({
    id,
    kind,
    state,
    subject: subject.slice(0, TEXT_MAX),
    createdBy: createdBy.slice(0, TEXT_MAX),
    progress,
  }))
  return { running: running.length, queued: queued.length, items }
}
