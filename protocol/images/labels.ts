// Labels of an image: pairs of a key and a value that operators choose, such as env=production. Lists filter on them.

import { z } from 'zod'

/** Most labels of one image. */
export const LABELS_MAX = 64
/** Longest key in characters. */
export const LABEL_KEY_LENGTH_MAX = 63
/** Longest value in characters. */
export const LABEL_VALUE_LENGTH_MAX = 255

/** Keys go into queries, terminals and scripts: letters, digits, `.`, `_`, `-` and `/`, with a letter or digit at both ends. */
export const labelKeySchema = z
  .string()
  .min(1)
  .max(LABEL_KEY_LENGTH_MAX)
  .regex(/^[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?$/, 'must be letters, digits, ".", "_", "-" or "/", with a letter or digit at both ends')

/** Values are shown in terminals and chats, so they contain no control characters. They may be empty. */
export const labelValueSchema = z
  .string()
  .max(LABEL_VALUE_LENGTH_MAX)
  .regex(/^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\ufeff]*$/, 'must not contain control characters')

const countMessage = `must have at most ${LABELS_MAX} labels`
const isWithinCount = (labels: object): boolean => Object.keys(labels).length <= LABELS_MAX

/** All labels of an image, by key. */
export const labelsSchema = z.record(labelKeySchema, labelValueSchema).refine(isWithinCount, countMessage).meta({ maxProperties: LABELS_MAX })

/** A change of labels (RFC 7396): a value sets a label, null removes it, and labels that are not named stay. */
export const labelsPatchSchema = z.record(labelKeySchema, labelValueSchema.nullable()).refine(isWithinCount, countMessage).meta({ maxProperties: LABELS_MAX })

export type Labels = z.infer<typeof labelsSchema>
export type LabelsPatch = z.infer<typeof labelsPatchSchema>

/** Returns the labels after a change, in the order of their keys. The caller checks their number. */
export function mergeLabels(labels: Labels, patch: LabelsPatch): Labels {
  const merged = new Map(Object.entries(labels))
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key)
    else merged.set(key, value)
  }
  return Object.fromEntries([...merged].toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
