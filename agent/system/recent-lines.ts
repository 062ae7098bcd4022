// The newest lines of this process's log, kept in memory for the evidence. Older lines, and those of earlier processes, are in systemd's journal.

/** Most characters of all lines together. */
export const RECENT_LINES_MAX = 1024 * 1024
/** Characters that each line is charged in addition to its own, so that many empty lines are bounded too. */
const LINE_COST = 64

export interface RecentLines {
  /** Keeps a line, and drops the oldest when there are too many. A line longer than an eighth of the bound is not kept. */
  add(line: string): void
  /** Returns the lines, newest first. */
  newestFirst(): string[]
}

/** Creates an empty collection of at most `lengthMax` characters. */
export function createRecentLines(lengthMax: number = RECENT_LINES_MAX): RecentLines {
  let lines: string[] = []
  let first = 0
  let length = 0
  return {
    add(line) {
      if (line.length > lengthMax / 8) return
      lines.push(line)
      length += line.length + LINE_COST
      while (length > lengthMax) length -= (lines[first++]?.length ?? 0) + LINE_COST
      if (first * 2 > lines.length) {
        lines = lines.slice(first)
        first = 0
      }
    },
    newestFirst: () => lines.slice(first).toReversed(),
  }
}
