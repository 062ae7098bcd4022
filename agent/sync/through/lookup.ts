// Asks the origins for images that this store does not have. Unknown ids are remembered for a while and few requests run at a time, so that clients
// that ask for ids at random do not become as many requests to every origin.

import { isId } from '../../../protocol/ids.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { problem } from '../../../protocol/problems.ts'
import type { KnownOrigin, Origins } from '../../contract/origins.ts'
import type { Clock } from '../../contract/runtime.ts'
import { faultOf } from '../sources/faults.ts'

/** How long an id that no origin has is not asked for again, in milliseconds, and how many such ids are remembered. */
export const ABSENT_MS = 30_000
export const ABSENT_MAX = 4096
/** Look-ups of different images at the same time; more are refused. */
export const LOOKUPS_MAX = 16
const DIGEST = /^sha256:[0-9a-f]{64}$/

export interface FoundAtOrigin {
  readonly image: Image
  readonly origin: KnownOrigin
}

export interface LookupDeps {
  readonly clock: Clock
  readonly origins: Origins
}

/** Returns a function that finds an image by id or digest; undefined if no origin has it. See PullThrough for what it throws. */
export function createLookup({ clock, origins }: LookupDeps): (idOrDigest: string) => Promise<FoundAtOrigin | undefined> {
  /** Monotonic time until which an id is known to be absent. In the order of their additions. */
  const absent = new Map<string, number>()
  const running = new Map<string, Promise<FoundAtOrigin | undefined>>()

  const noteAbsent = (idOrDigest: string): void => {
    absent.delete(idOrDigest)
    absent.set(idOrDigest, clock.monotonicMs() + ABSENT_MS)
    const [oldest] = absent.keys()
    if (absent.size > ABSENT_MAX && oldest !== undefined) absent.delete(oldest)
  }
  const ask = async (idOrDigest: string): Promise<FoundAtOrigin | undefined> => {
    const usable = await origins.usable()
    let isUncertain = origins.list().some(({ state }) => state === 'unreachable' || state === 'unknown')
    for (const origin of usable) {
      try {
        const image = await origin.client.images.get(idOrDigest)
        origins.answered(origin)
        if (isMeant(image, idOrDigest)) return { image, origin }
      } catch (error) {
        if (faultOf(error) === undefined) throw error
        origins.failed(origin, error)
        if (faultOf(error) !== 'lacks') isUncertain = true
      }
    }
    if (isUncertain) throw problem('origin-unreachable', `This store does not have image ${idOrDigest}, and not every origin that may have it answered.`)
    noteAbsent(idOrDigest)
    return undefined
  }
  return async (idOrDigest) => {
    if (origins.list().length === 0 || !(isId('img', idOrDigest) || DIGEST.test(idOrDigest))) return undefined
    if ((absent.get(idOrDigest) ?? 0) > clock.monotonicMs()) return undefined
    const same = running.get(idOrDigest)
    if (same) return same
    if (running.size >= LOOKUPS_MAX)
      throw problem('limit-reached', `${LOOKUPS_MAX} images are being looked for at the origins.`, {}, { headers: { 'Retry-After': '1' } })
    const lookup = ask(idOrDigest).finally(() => running.delete(idOrDigest))
    running.set(idOrDigest, lookup)
    return lookup
  }
}

/** Whether an answer of an origin is about the image that was asked for, and has content. */
function isMeant(image: Image, idOrDigest: string): boolean {
  if (!isId('img', image.id) || image.manifestDigest === null || (image.status !== 'available' && image.status !== 'degraded')) return false
  return image.id === idOrDigest || (DIGEST.test(idOrDigest) && (image.manifestDigest === idOrDigest || image.digest === idOrDigest))
}
