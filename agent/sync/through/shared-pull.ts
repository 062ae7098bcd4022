// A pull that readers share: what they wait for, who still reads, and how it ends.

import type { Image } from '../../../protocol/images/image.ts'
import type { KnownOrigin } from '../../contract/origins.ts'
import type { PullCounts, TaskedPull } from './pull-task.ts'
import { runPull } from './pull-run.ts'
import type { Opened, PullRunDeps } from './pull-run.ts'

export interface PullDeps extends PullRunDeps {
  /** Runs copies of the same image one after the other. */
  readonly inOrder: <T>(imageId: string, run: () => Promise<T>) => Promise<T>
}

/** The pull of one image. */
export interface Pull extends TaskedPull {
  readonly controller: AbortController
  /** Resolves when readers can begin; with undefined if this store has the image. */
  readonly opened: Promise<Opened | undefined>
  /** Lets the content be fetched and kept. */
  readonly wantContent: () => void
  /** Resolves when the pull has ended. Never rejects. */
  ended: Promise<void>
  readers: number
  /** Called when the last reader has left. */
  idle: () => void
}

interface PullCalls {
  /** Lets no reader join any more. */
  readonly removed: () => void
  /** Shows the pull as a task. */
  readonly startTask: () => Promise<void>
  readonly isStopping: () => boolean
}

/** Starts the pull of an image from an origin. */
export function startPull(deps: PullDeps, image: Image, origin: KnownOrigin, { removed, startTask, isStopping }: PullCalls): Pull {
  const controller = new AbortController()
  const opened = Promise.withResolvers<Opened | undefined>()
  const admitted = Promise.withResolvers<void>()
  const wanted = Promise.withResolvers<boolean>()
  let left = Promise.withResolvers<void>()
  const kept = Promise.withResolvers<void>()
  const counts: PullCounts = { total: 0, done: 0, slicesMoved: 0, bytesMoved: 0, bytesAvoided: 0 }
  for (const { promise } of [opened, admitted, kept]) promise.catch(() => {})
  const run = async (): Promise<void> => {
    try {
      await deps.inOrder(image.id, () =>
        runPull(deps, {
          image,
          origin,
          signal: controller.signal,
          opened,
          admitted,
          wanted: wanted.promise,
          removed,
          startTask,
          kept: kept.resolve,
          counts,
          progressed: () => pull.progressed(),
          untilIdle,
        }),
      )
    } catch (error) {
      opened.reject(error)
      admitted.reject(error)
      if (!isStopping()) kept.reject(error)
      if (!controller.signal.aborted) deps.log.warn('an image could not be pulled through', { image: image.id, origin: origin.name, error })
    } finally {
      removed()
    }
  }
  const untilIdle = async (): Promise<void> => {
    while (pull.readers > 0) await left.promise
  }
  const pull: Pull = {
    image,
    from: origin.name,
    counts,
    progressed: () => {},
    kept: kept.promise,
    abort: (reason) => controller.abort(reason),
    controller,
    opened: opened.promise,
    wantContent: () => wanted.resolve(true),
    ended: Promise.resolve(),
    readers: 0,
    idle() {
      wanted.resolve(false)
      left.resolve()
      left = Promise.withResolvers<void>()
    },
  }
  pull.ended = run()
  return pull
}
