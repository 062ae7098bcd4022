// Waiting for a condition, never for a time.

/** Interval between two looks in milliseconds, and how long to look at all. */
const LOOK_MS = 10
const GIVE_UP_MS = 120_000
/** Time after which a wait is named on standard error, in milliseconds: less than the timeout of any test, which would not say what it waited for. */
const NAMED_AFTER_MS = 20_000

/**
 * Resolves with the first value of `look` that is not undefined, false or null; throws with `what` when it takes too long.
 *
 * @example
 * await until('the image is available', async () => (await get(id)).status === 'available')
 */
export async function until<T>(what: string, look: () => T | Promise<T>, giveUpMs: number = GIVE_UP_MS): Promise<Exclude<T, false | undefined | null>> {
  const endMs = performance.now() + giveUpMs
  const naming = setTimeout(() => console.error(`after ${NAMED_AFTER_MS / 1000} s still waiting until ${what}`), NAMED_AFTER_MS)
  try {
    for (;;) {
      const found = await look()
      if (found !== false && found !== undefined && found !== null) return found as Exclude<T, false | undefined | null>
      if (performance.now() > endMs) throw new Error(`after ${giveUpMs} ms still not: ${what}`)
      await Bun.sleep(LOOK_MS)
    }
  } finally {
    clearTimeout(naming)
  }
}
