// Finds the known name that a mistyped one most likely stands for: keys of the configuration, members of a query or body, words of a command.

/** Names longer than this are not compared, since comparing costs the product of both lengths; sentences show this many characters of one. */
export const COMPARED_LENGTH_MAX = 64

/** Returns the known name nearest to a text; undefined when none is near enough to be meant. The case of letters does not matter. */
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

/** Returns the end of a sentence about an unknown name: the nearest known one, or all of them. `show` formats a name. */
export function suggestName(text: string, known: readonly string[], show: (name: string) => string): string {
  const nearest = nearestName(text, known)
  if (nearest !== undefined) return `; did you mean ${show(nearest)}?`
  if (known.length === 0) return '; none is accepted here.'
  return known.length === 1 ? `; the only one is ${show(known[0] ?? '')}.` : `; known are ${known.map(show).join(', ')}.`
}

/** Returns a name in quotes for a sentence, shortened when it is too long to be one of ours. */
export function quoteName(text: string): string {
  return JSON.stringify(text.length > COMPARED_LENGTH_MAX ? `${text.slice(0, COMPARED_LENGTH_MAX)}…` : text)
}

/** Counts the insertions, deletions, replacements and swaps of neighbours that lead from one text to the other. */
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
