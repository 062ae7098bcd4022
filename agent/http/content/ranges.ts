// Range requests (RFC 9110 §14): which bytes of the content a request asks for. Pure.

/** Most ranges in one request. Requests with more ranges get the complete content. */
const RANGES_MAX = 16
/** Most digits of a position. A number with more digits is beyond every length. */
const DIGITS_MAX = 15

export type RangeOutcome =
  | { readonly kind: 'whole' }
  /** The bytes [start, end). */
  | { readonly kind: 'part'; readonly start: number; readonly end: number }
  | { readonly kind: 'unsatisfiable' }

/**
 * Parses a Range field for content of this length. A field that is not valid, has another unit, or has several satisfiable ranges is
 * answered with the whole content, as RFC 9110 §14.2 allows.
 */
export function parseRange(field: string | null, length: number): RangeOutcome {
  const whole = { kind: 'whole' } as const
  const set = /^bytes=(.*)$/i.exec(field?.trim() ?? '')?.[1]
  if (set === undefined) return whole
  // RFC 9110 §5.6.1.2: empty elements of a list are ignored.
  const specs = set.split(',').map((spec) => spec.trim())
  const wanted = specs.filter((spec) => spec !== '')
  if (wanted.length === 0 || wanted.length > RANGES_MAX) return whole
  const parts: { start: number; end: number }[] = []
  for (const spec of wanted) {
    const match = /^(\d*)-(\d*)$/.exec(spec)
    if (!match || (match[1] === '' && match[2] === '')) return whole
    const [, first = '', last = ''] = match
    if (first === '') {
      // RFC 9110 §14.1.2: a suffix longer than the content means all of it.
      const suffix = Math.min(positionOf(last), length)
      if (suffix > 0) parts.push({ start: length - suffix, end: length })
      continue
    }
    const start = positionOf(first)
    const end = last === '' ? length : Math.min(positionOf(last) + 1, length)
    if (last !== '' && positionOf(last) < start) return whole
    if (start < length) parts.push({ start, end })
  }
  const [part] = parts
  if (!part) return { kind: 'unsatisfiable' }
  return parts.length === 1 ? { kind: 'part', ...part } : whole
}

function positionOf(digits: string): number {
  const significant = digits.replace(/^0+(?=\d)/, '')
  return significant.length > DIGITS_MAX ? Number.MAX_SAFE_INTEGER : Number(significant)
}
