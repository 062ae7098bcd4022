// The interval at which the service tries to reach a silent store, as it is written in commands and settings.

/** Interval for stores and bots without one of their own, in milliseconds. */
export const RECONNECT_DEFAULT_MS = 30_000
const SECONDS_MIN = 5
const SECONDS_MAX = 86_400

export const RECONNECT_WORDS = `off, or seconds from ${SECONDS_MIN} to ${SECONDS_MAX} such as 30`

/** Returns the interval in milliseconds, 0 for `off`; undefined when the text is neither. */
export function parseReconnect(text: string): number | undefined {
  if (text === 'off') return 0
  const [, digits] = /^(\d{1,6})s?$/.exec(text) ?? []
  const seconds = Number(digits ?? Number.NaN)
  return seconds >= SECONDS_MIN && seconds <= SECONDS_MAX ? seconds * 1000 : undefined
}

/** Returns the interval in words. */
export function reconnectText(ownMs: number | null): string {
  if (ownMs === null) return `as the bot is set (every ${RECONNECT_DEFAULT_MS / 1000} s by default)`
  return ownMs === 0 ? 'off' : `every ${ownMs / 1000} s`
}
