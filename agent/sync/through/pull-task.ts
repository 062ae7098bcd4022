// The task of a pull-through: it shows the copy of an image that a reader has started, and goes on with it after a restart of the agent, without a reader.

import { z } from 'zod'
import type { Image } from '../../../protocol/images/image.ts'
import { problem, ProblemError } from '../../../protocol/problems.ts'
import { untilAborted } from '../../../protocol/until-aborted.ts'
import type { Clock } from '../../contract/runtime.ts'
import { TaskPostponed } from '../../contract/work.ts'
import type { TaskContext, Tasks } from '../../contract/work.ts'

/** How long after its start a pull is resumed, in milliseconds: its lease protects what was copied for a day. */
const RESUME_MS_MAX = 86_400_000
/** Wait until a pull is resumed when no origin answers, in milliseconds. */
const RESUME_WAIT_MS = 60_000

const paramsSchema = z.object({ image: z.string(), startedMs: z.number() })

/** What a pull has done so far. */
export interface PullCounts {
  /** Uncompressed bytes of the slices that were missing when the pull began, and those of them that are stored. */
  total: number
  done: number
  /** Slices that came over the line, and their bytes there. */
  slicesMoved: number
  bytesMoved: number
  /** Bytes of the image that were not copied: slices that were here, and zeros. */
  bytesAvoided: number
}

/** The copy of one image, as its task sees it. */
export interface TaskedPull {
  readonly image: Image
  /** Name of the origin. */
  readonly from: string
  readonly counts: PullCounts
  /** Called when the counts have changed. */
  progressed: () => void
  /** Resolves when the image is kept, and rejects when the pull fails. Stays pending when the agent stops, so that the next start resumes the task. */
  readonly kept: Promise<void>
  /** Resolves when the pull is over. */
  readonly ended: Promise<void>
  /** Ends the pull; its readers get the reason. */
  abort(reason: unknown): void
}

export interface PullTaskDeps {
  readonly clock: Clock
  readonly tasks: Pick<Tasks, 'register' | 'start'>
  /** Returns the pull that the task is for. */
  readonly find: (imageId: string) => TaskedPull | undefined
  /** Starts a pull again without readers; undefined if this store has the image. Throws ProblemError. */
  readonly resume: (imageId: string) => Promise<TaskedPull | undefined>
  /** The task of a pull is over. */
  readonly done: (pull: TaskedPull) => void
  readonly isStopping: () => boolean
}

/** Registers the task `pull-through`. Returns a function that starts it for an image; durable when it resolves. */
export function createPullTask({ clock, tasks, find, resume, done, isStopping }: PullTaskDeps): (imageId: string) => Promise<void> {
  const pullOf = async ({ image, startedMs }: z.infer<typeof paramsSchema>, signal: AbortSignal): Promise<TaskedPull | undefined> => {
    try {
      return find(image) ?? (await resume(image))
    } catch (error) {
      // The next start runs the task again.
      if (isStopping()) await untilAborted(signal)
      const mayWork = error instanceof ProblemError && (error.code === 'origin-unreachable' || error.code === 'limit-reached')
      const nowMs = clock.nowMs()
      if (!mayWork || nowMs - startedMs > RESUME_MS_MAX) throw error
      throw new TaskPostponed(nowMs + RESUME_WAIT_MS, `The copy cannot go on: ${error.message} It is tried again in a minute.`)
    }
  }
  tasks.register('pull-through', async (params, context) => {
    const pull = await pullOf(paramsSchema.parse(params), context.signal)
    if (!pull) return { outcome: 'already-there' }
    context.resultSoFar(() => resultOf(pull))
    pull.progressed = () => context.progress(pull.counts.done, pull.counts.total, 'bytes')
    pull.progressed()
    try {
      await Promise.race([pull.kept, failWhenAborted(pull, context)])
      return { outcome: 'copied', ...resultOf(pull) }
    } finally {
      pull.progressed = () => {}
      done(pull)
    }
  })
  return async (imageId) => {
    const order = { kind: 'pull-through', subject: imageId, createdBy: 'pull-through', params: { image: imageId, startedMs: clock.nowMs() } } as const
    await tasks.start({ ...order, key: `pull-through ${imageId}` })
  }
}

function resultOf({ image, from, counts: { total: _total, done: _done, ...moved } }: TaskedPull): Record<string, unknown> {
  return { image: { id: image.id, name: image.name }, origin: from, ...moved }
}

/** Ends the pull when its task is cancelled, and throws when the pull is over. */
async function failWhenAborted(pull: TaskedPull, { signal }: Pick<TaskContext, 'signal'>): Promise<never> {
  await untilAborted(signal)
  pull.abort(problem('interrupted', `The copy of image ${pull.image.name} was cancelled.`, { action: 'Read the image again to go on with the copy.' }))
  await pull.ended
  throw signal.reason
}
