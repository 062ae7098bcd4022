// Conditional requests (RFC 9110 §13) for content with a strong ETag and a time of last change. Pure.

export interface Validators {
  /** Strong entity tag with its quotes. */
  readonly etag: string
  /** Time of the last change in milliseconds since 1970. HTTP dates have whole seconds. */
  readonly lastModifiedMs: number
}

/** Evaluates the preconditions of GET and HEAD in the order of RFC 9110 §13.2.2, except for If-Range. */
export function evaluateConditions(headers: Headers, { etag, lastModifiedMs }: Validators): 'proceed' | 'not-modified' | 'failed' {
  const ifMatch = headers.get('if-match')
  const unmodifiedSince = parseHttpDate(headers.get('if-unmodified-since'))
  if (ifMatch !== null) {
    if (!listsTag(ifMatch, etag, 'strong')) return 'failed'
  } else if (unmodifiedSince !== undefined && wholeSeconds(lastModifiedMs) > unmodifiedSince) return 'failed'

  const ifNoneMatch = headers.get('if-none-match')
  const modifiedSince = parseHttpDate(headers.get('if-modified-since'))
  if (ifNoneMatch !== null) return listsTag(ifNoneMatch, etag, 'weak') ? 'not-modified' : 'proceed'
  return modifiedSince !== undefined && wholeSeconds(lastModifiedMs) <= modifiedSince ? 'not-modified' : 'proceed'
}

/** Whether a Range field applies (RFC 9110 §13.1.5): there is no If-Range, or it names exactly this content. */
export function rangeApplies(headers: Headers, { etag, lastModifiedMs }: Validators): boolean {
  const ifRange = headers.get('if-range')?.trim()
  if (ifRange === undefined) return true
  if (ifRange.startsWith('"') || ifRange.startsWith('W/')) return ifRange === etag
  return parseHttpDate(ifRange) === wholeSeconds(lastModifiedMs)
}

/** Formats a time as an HTTP-date (RFC 9110 §5.6.7). */
export function formatHttpDate(ms: number): string {
  return new Date(ms).toUTCString()
}

function parseHttpDate(field: string | null): number | undefined {
  const ms = field === null || !/\bGMT$/.test(field.trim()) ? Number.NaN : Date.parse(field)
  return Number.isNaN(ms) ? undefined : ms
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000
}

/** Whether a list of entity tags contains this one. A weak tag equals a strong one only in weak comparison (RFC 9110 §8.8.3.2). */
function listsTag(field: string, etag: string, comparison: 'strong' | 'weak'): boolean {
  if (field.trim() === '*') return true
  for (const [, weak, tag] of field.matchAll(/(W\/)?("[^"]*")/g)) {
    if (tag === etag && (comparison === 'weak' || weak === undefined)) return true
  }
  return false
}
