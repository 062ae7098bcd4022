// What becomes of a body that is refused: a little of it is read, because many clients look for the answer only once
// they have sent what they had, and take a closed connection for a lost one.

import type { Clock } from '../contract/runtime.ts'

const DRAIN_BYTES_MAX = 1024 * 1024
const DRAIN_MS_MAX = 100

/**
 * Reads what is left of a body, up to a bound in bytes and time. Gives whether all of it was read: if not, the connection
 * cannot carry another request and has to be closed. A client that waits for `100 Continue` is answered at once.
 */
export async function drainBody(request: Request, clock: Pick<Clock, 'sleep'>): Promise<boolean> {
  const { body } = request
  if (!body) return true
  if (body.locked || request.headers.has('expect')) return false
  const reader = body.getReader()
  const timeout = new AbortController()
  let isOver = false
  const over = clock.sleep(DRAIN_MS_MAX, timeout.signal).then(
    () => void (isOver = true),
    // Aborted below, because the body ended first.
    () => {},
  )
  try {
    for (let drained = 0; drained <= DRAIN_BYTES_MAX && !isOver;) {
      const next = await Promise.race([reader.read(), over])
      if (!next) break
      if (next.done) return true
      drained += next.value.byteLength
    }
    return false
  } catch {
    // The client is gone: there is nobody to be kind to.
    return false
  } finally {
    timeout.abort()
    reader.cancel().catch(() => {})
  }
}
