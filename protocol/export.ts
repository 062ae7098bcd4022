// Exports: images written as files into exports/ on the mount path, and the formats into which content is converted.

import { z } from 'zod'

/** Formats that the agent converts content into: `content?as=` and `as` of an export. */
export const CONVERSION_TARGETS = ['raw', 'qcow2', 'vmdk', 'vhd'] as const
export const conversionTargetSchema = z.enum(CONVERSION_TARGETS)
export type ConversionTarget = z.infer<typeof conversionTargetSchema>
