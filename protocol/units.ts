// Parses and formats sizes and durations for configuration, commands and messages.

const SIZE = /^(\d+(?:\.\d+)?)\s*(B|[KMGTP]i?B?)?$/i
const DURATION = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)$/i

const DURATION_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

/** Parses a size such as `1 GB` (10^9 bytes) or `1 MiB` (2^20 bytes); undefined when the text is not a size. */
export function parseSize(text: string): number | undefined {
  const match = SIZE.exec(text.trim())
  if (!match) return undefined
  const unit = (match[2] ?? 'B').toUpperCase()
  const power = 'BKMGTP'.indexOf(unit.charAt(0))
  const base = unit.includes('I') ? 1024 : 1000
  const bytes = Math.round(Number(match[1]) * base ** power)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** Parses a duration such as `24h`, `3d` or `500ms` to milliseconds; undefined when the text is not a duration. */
export function parseDuration(text: string): number | undefined {
  const match = DURATION.exec(text.trim())
  if (!match) return undefined
  return Math.round(Number(match[1]) * (DURATION_MS[match[2]?.toLowerCase() ?? ''] ?? Number.NaN))
}

/** Formats a size in powers of 1000, with one decimal below 10: `1.5 GB`, `12 GB`. */
export function formatSize(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']
  let value = bytes
  let unit = 0
  // From 999.5 on, rounding would show 1000 of the smaller unit.
  while (Math.abs(value) >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(Math.abs(value) < 9.95 ? 1 : 0)} ${units[unit]}`
}

/** Formats a duration in its two largest units: `2 d 3 h`, `4 min 10 s`. */
export function formatDuration(ms: number): string {
  const parts: [number, string][] = [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'min'],
    [1000, 's'],
  ]
  const shown: string[] = []
  let rest = Math.max(0, ms)
  for (const [size, name] of parts) {
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count > 0) shown.push(`${count} ${name}`)
    else if (shown.length > 0) break
    if (shown.length === 2) break
  }
  return shown.length > 0 ? shown.join(' ') : '0 s'
}
