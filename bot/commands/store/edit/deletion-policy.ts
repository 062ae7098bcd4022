// The deletion policy of a store in words: what deleting an image does there, and the options of `store edit` that change it.

import { nearestName } from '../../../../protocol/nearest.ts'
import { problem } from '../../../../protocol/problems.ts'
import { deletionSchema, RETENTION_SECONDS_MAX } from '../../../../protocol/store.ts'
import type { Store, StorePatch } from '../../../../protocol/store.ts'
import { formatDuration, parseDuration } from '../../../../protocol/units.ts'

type Policy = Pick<Store['retention'], 'deletion' | 'seconds'>

/** The word that resets a setting to the configuration of the store. */
const RESET = 'configured'

/** The words that deletion= takes. */
export const DELETION_WORDS: readonly string[] = [...deletionSchema.options, RESET]

/** What deleting an image does, as the label of a button. */
export function deleteLabel(policy: Policy | undefined): string {
  switch (policy?.deletion) {
    case 'immediate':
      return 'Delete for good'
    case 'delayed':
      return `Delete (recycle bin for ${formatDuration(policy.seconds * 1000)})`
    case 'never':
      return 'Delete (kept in the recycle bin)'
    case undefined:
      return 'Delete'
  }
}

/** The policy of a store, for `store show`. */
export function policyText({ deletion, seconds, configured }: Store['retention']): string {
  const isChanged = configured !== undefined && (configured.deletion !== deletion || configured.seconds !== seconds)
  return isChanged ? `${describe({ deletion, seconds })}; the configuration says ${describe(configured)}` : describe({ deletion, seconds })
}

function describe({ deletion, seconds }: Policy): string {
  switch (deletion) {
    case 'immediate':
      return 'immediate: deleted images are removed for good'
    case 'delayed':
      return `delayed: deleted images stay in the recycle bin for ${formatDuration(seconds * 1000)}`
    case 'never':
      return 'never: deleted images stay in the recycle bin'
  }
}

/** Returns the change of the options deletion= and retention=; undefined without either. Throws `invalid-input`. */
export function parsePolicy(options: { readonly deletion?: string | undefined; readonly retention?: string | undefined }): StorePatch['retention'] {
  const { deletion, retention } = options
  if (deletion === undefined && retention === undefined) return undefined
  return {
    ...(deletion === undefined ? {} : { deletion: parseDeletion(deletion) }),
    ...(retention === undefined ? {} : { seconds: parseRetention(retention) }),
  }
}

function parseDeletion(word: string): Policy['deletion'] | null {
  if (word === RESET) return null
  const known = deletionSchema.safeParse(word)
  if (known.success) return known.data
  const meant = nearestName(word, DELETION_WORDS)
  throw problem('invalid-input', `deletion=${word} is not understood.`, {
    action: meant === undefined ? `Write one of: ${DELETION_WORDS.join(', ')}.` : `Did you mean deletion=${meant}?`,
  })
}

function parseRetention(text: string): number | null {
  if (text === RESET) return null
  const seconds = Math.round((parseDuration(text) ?? Number.NaN) / 1000)
  if (seconds >= 0 && seconds <= RETENTION_SECONDS_MAX) return seconds
  throw problem('invalid-input', `retention=${text} is not a duration of at most ten years.`, { action: `Write it as 12h or 3d, or as ${RESET}.` })
}
