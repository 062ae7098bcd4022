// The usage of one image in its image.json: periods in which it was available, written together with the change that starts or ends them, so that no
// crash separates the two.

import { z } from 'zod'
import { imageKindSchema } from '../../../protocol/images/image.ts'

/** Ended periods that an image.json holds before they are moved to the ledger. Each is about 120 bytes long. */
export const ENDED_PERIODS_MAX = 100

export const usageStateSchema = z.object({
  ended: z.array(
    z.object({
      owner: z.string().nullable(),
      length: z.number(),
      storedSize: z.number().nullable(),
      fromMs: z.number(),
      toMs: z.number(),
      /** Name and kind that the image had when its owner changed: a former owner does not learn what the next one calls it. */
      name: z.string().optional(),
      kind: imageKindSchema.optional(),
    }),
  ),
  /** The period that continues; null while the image is in the recycle bin, is being removed, or was not available yet. */
  running: z.object({ owner: z.string().nullable(), length: z.number(), fromMs: z.number() }).nullable(),
  /** End of the latest ended period, wherever its record is. A clock that was set back starts no period before it. */
  untilMs: z.number(),
})

export type UsageState = z.infer<typeof usageStateSchema>
