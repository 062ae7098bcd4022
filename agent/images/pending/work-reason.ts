// What pending work does or waits for, in sentences that say what happens next.

import type { Image } from '../../../protocol/images/image.ts'
import { formatTime } from '../../../protocol/time.ts'
import { formatSize } from '../../../protocol/units.ts'
import type { PendingWork } from './pending-works.ts'

/** Returns the sentences for work on an image. */
export function workReason({ kind, queuedAtMs, startedAtMs, done, unpackedBytes, failure }: PendingWork, { length }: Pick<Image, 'length'>): string {
  const what = kind === 'inspect' ? 'inspection' : 'digest'
  if (failure !== null) {
    const when = formatTime(failure.atMs)
    return `Attempt ${failure.attempt} of its ${what} failed at ${when}: ${failure.reason}. It is tried again by itself; check the mount path if it keeps failing.`
  }
  if (startedAtMs === null) return `It waits for its ${what} since ${formatTime(queuedAtMs)}, because others run. It starts by itself.`
  const since = `since ${formatTime(startedAtMs)}`
  if (kind === 'digest') return `Its SHA-256 is computed ${since}: ${formatSize(done)} of ${formatSize(length)}. Digests pause while uploads run.`
  if (unpackedBytes !== null) return `Its compressed file is being unpacked ${since}: ${formatSize(unpackedBytes)} so far. Then it is inspected.`
  if (done > 0) return `Its bytes are compared with the declared digest ${since}: ${formatSize(done)} of ${formatSize(length)}. Then it is available or error.`
  return `It is being inspected ${since}. Then it is available or error.`
}
