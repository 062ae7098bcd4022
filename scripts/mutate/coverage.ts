// Which lines a test file reaches, from the lcov report of `bun test --coverage`.

/** For each source file that was loaded, the lines that could run and did not. Every other line counts as reached. */
export type Coverage = Readonly<Record<string, readonly number[]>>

/** Reads a report (geninfo(1)): `SF:` names a file, `DA:line,count` says how often a line ran. */
export function parseCoverage(lcov: string): Coverage {
  const coverage: Record<string, number[]> = {}
  let lines: number[] = []
  for (const record of lcov.split('\n')) {
    if (record.startsWith('SF:')) coverage[record.slice('SF:'.length)] = lines = []
    const [, line, count] = /^DA:(\d+),(\d+)/.exec(record) ?? []
    if (line !== undefined && Number(count) === 0) lines.push(Number(line))
  }
  return coverage
}

/** Whether a test may have run a part of the lines. False only where the report says that none of them ran. */
export function reaches(coverage: Coverage, file: string, lines: { readonly line: number; readonly lineLast: number }): boolean {
  const missed = coverage[file]
  if (!missed) return false
  for (let line = lines.line; line <= lines.lineLast; line++) if (!missed.includes(line)) return true
  return false
}
