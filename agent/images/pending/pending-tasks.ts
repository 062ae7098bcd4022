// Inspections and digests as tasks, made from the pending work and, after their end, from what the image shows.

import type { Image } from '../../../protocol/images/image.ts'
import { problem } from '../../../protocol/problems.ts'
import type { Progress, Task } from '../../../protocol/task.ts'
import { formatTime } from '../../../protocol/time.ts'
import { liveSubject, liveTaskId } from '../../contract/live-task.ts'
import type { LiveWork } from '../../contract/work.ts'
import type { PendingKind, PendingWork, PendingWorks } from './pending-works.ts'
import { workReason } from './work-reason.ts'

/** Who starts this work: the agent itself. */
const CREATED_BY = 'agent'

export interface PendingTasksDeps {
  readonly works: Pick<PendingWorks, 'list' | 'of'>
  readonly find: (imageId: string) => Image | undefined
  readonly nowMs: () => number
}

/** Creates the tasks of inspections and digests. They cannot be cancelled: without them, an image is of no use. */
export function createPendingTasks({ works, find, nowMs }: PendingTasksDeps): LiveWork {
  return {
    *list() {
      for (const work of works.list()) {
        const image = find(work.imageId)
        if (image) yield taskOf(work, image, nowMs())
      }
    },
    find(id) {
      for (const kind of ['inspect', 'digest'] as const) {
        const image = find(liveSubject(kind, 'img', id))
        if (!image) continue
        const work = works.of(image.id)
        const task = work?.kind === kind ? taskOf(work, image, nowMs()) : endedTask(kind, image)
        if (task) return task
      }
      return undefined
    },
    cancel: ({ kind, subject }) =>
      Promise.reject(
        problem('wrong-status', kind === 'inspect' ? 'An inspection cannot be cancelled.' : 'The digest of an image is always computed.', {
          action: `Delete image ${subject} instead, once its inspection has ended.`,
        }),
      ),
  }
}

function taskOf(work: PendingWork, image: Image, nowMs: number): Task {
  const { kind, startedAtMs, queuedAtMs, done } = work
  const seconds = startedAtMs === null ? 0 : (nowMs - startedAtMs) / 1000
  const rate = seconds > 0 ? Math.round(done / seconds) : 0
  return {
    id: liveTaskId(kind, image.id),
    kind,
    state: startedAtMs === null ? 'queued' : 'running',
    progress: progressOf(done, image.length, rate),
    subject: image.id,
    createdBy: CREATED_BY,
    createdAt: formatTime(queuedAtMs),
    endedAt: null,
    detail: workReason(work, image),
  }
}

function progressOf(done: number, length: number, rate: number): Progress {
  return { done: Math.min(done, length), total: length, unit: 'bytes', rate, etaSeconds: rate > 0 ? Math.max(0, Math.round((length - done) / rate)) : null }
}

/** Returns work that has ended, as far as the image shows it. */
function endedTask(kind: PendingKind, image: Image): Task | undefined {
  const isEnded = kind === 'inspect' ? image.status !== 'creating' : image.digest !== null
  if (!isEnded || image.manifestDigest === null) return undefined
  const endedAt = image.availableAt ?? image.createdAt
  const isRefused = kind === 'inspect' && image.status === 'error'
  return {
    id: liveTaskId(kind, image.id),
    kind,
    state: isRefused ? 'failed' : 'succeeded',
    progress: progressOf(image.length, image.length, 0),
    subject: image.id,
    createdBy: CREATED_BY,
    createdAt: image.createdAt,
    endedAt,
    ...(isRefused && image.statusReason !== null && { detail: image.statusReason }),
    result: kind === 'inspect' ? { status: image.status, format: image.format } : { digest: image.digest },
  }
}
