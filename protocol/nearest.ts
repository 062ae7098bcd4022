// Suggests a known name for a mistyped one: keys of the configuration, members of a query or body, words of a command.

/** Longest name that is compared, in characters, since the cost is the product of both lengths. Sentences quote this many characters. */
export const COMPARED_LENGTH_MAX = 64

/** Returns the known name nearest to a text, ignoring case; undefined when no name is near enough. */
export function nearestName(text: string, known: readonly string[]): string | undefined {
  if (text.length > COMPARED_LENGTH_MAX) return undefined
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(text.length / 3)) + 1
  for (const name of known) {
    if (name.length > COMPARED_LENGTH_MAX) continue
    const distance = name.startsWith(text) && text.length > 1 ? 1 : editDistance(text.toLowerCase(), name.toLowerCase())
    if (distance < bestDistance) {
      best = name
      bestDistance = distance
    }
  }
  return best
}

/** Returns the end of a sentence about an unknown name, with the nearest known name or all known names. `show` formats a name. */
export function suggestName(text: string, known: readonly string[], show: (name: string) => string): string {
  const nearest = nearestName(text, known)
  if (nearest !== undefined) return `; did you mean ${show(nearest)}?`
  if (known.length === 0) return '; none is accepted here.'
  return known.length === 1 ? `; the only one is ${show(known[0] ?? '')}.` : `; known are ${known.map(show).join(', ')}.`
}

/** Returns a name in quotes for a sentence, shortened to COMPARED_LENGTH_MAX characters. */
export function quoteName(text: string): string {
  return JSON.stringify(text.length > COMPARED_LENGTH_MAX ? `${text.slice(0, COMPARED_LENGTH_MAX)}…` : text)
}

/** Returns the edit distance of two texts: insertions, deletions, replacements and swaps of neighbours. */
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, isSwap ? (before[j - 2] ?? 0) + 1 : Infinity))
    }
    before = row
    row = next
  }
  return row[b.length] ?? 0
}
