// How long a signed link is valid, as the option `for=` says.

import { LINK_SECONDS_DEFAULT, LINK_SECONDS_MAX } from '../../protocol/access.ts'
import { problem } from '../../protocol/problems.ts'
import { parseDuration } from '../../protocol/units.ts'

/** The option of commands that create links. */
export const LINK_DURATION = { about: 'how long the link is valid, 1h by default', value: '1h', label: 'Valid for' } as const

/** Returns the seconds that `for=` means. Throws `invalid-input`. */
export function linkSeconds(text: string | undefined): number {
  if (text === undefined) return LINK_SECONDS_DEFAULT
  const ms = parseDuration(text)
  if (ms === undefined || ms < 1000 || ms > LINK_SECONDS_MAX * 1000)
    throw problem('invalid-input', `for=${text} is not a duration of up to 7d.`, { action: 'Write it as 30m, 2h or 1d.' })
  return Math.floor(ms / 1000)
}
