// The option `as=` of commands that convert images.

import { CONVERSION_TARGETS, conversionTargetSchema } from '../../../protocol/images/export.ts'
import type { ConversionTarget } from '../../../protocol/images/export.ts'
import { refuseChoice } from '../refused-value.ts'

/** Returns the format that `as=` names. Throws `invalid-input`. */
export function parseTarget(text: string | undefined): ConversionTarget | undefined {
  if (text === undefined) return undefined
  const parsed = conversionTargetSchema.safeParse(text)
  if (parsed.success) return parsed.data
  throw refuseChoice('as', text, CONVERSION_TARGETS)
}
