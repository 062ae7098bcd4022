// What git knows of the working tree: its files, and the lines that changed since a commit.

/** First and last line of a range, counted from 1. */
export interface Lines {
  readonly line: number
  readonly lineLast: number
}

/** Returns the files of the working tree that are tracked or new, without ignored and deleted ones. */
export function treeFiles(root: string): string[] {
  const deleted = new Set(lines(git(root, 'ls-files', '-d', '-z')))
  return lines(git(root, 'ls-files', '-co', '--exclude-standard', '-z')).filter((file) => !deleted.has(file))
}

/** Returns the full id of a commit; of the oldest one there is for `HEAD~N` in a shallow clone or a short history; else undefined. */
export function resolveCommit(root: string, name: string): string | undefined {
  const exact = tryGit(root, 'rev-parse', '--verify', '--quiet', `${name}^{commit}`)
  if (exact !== undefined) return exact.trim()
  if (!/^HEAD~\d+$/.test(name)) return undefined
  return tryGit(root, 'rev-list', '--first-parent', 'HEAD')?.trim().split('\n').at(-1)
}

/** Returns the lines of each file that differ between a commit and the working tree. A moved file has only the lines that changed. */
export function changedLines(root: string, commit: string): ReadonlyMap<string, readonly Lines[]> {
  return parseDiff(git(root, '-c', 'core.quotePath=false', 'diff', '-U0', '-M', '--no-color', '--no-ext-diff', commit, '--'))
}

/** Reads a unified diff without context lines. Ranges that were only removed have no lines. */
export function parseDiff(diff: string): Map<string, Lines[]> {
  const changed = new Map<string, Lines[]>()
  let ranges: Lines[] = []
  for (const line of diff.split('\n')) {
    const [, file] = /^\+\+\+ b\/(.*)$/.exec(line) ?? []
    if (file !== undefined) changed.set(file, (ranges = []))
    const [, start, count = '1'] = /^@@ -\S+ \+(\d+)(?:,(\d+))? @@/.exec(line) ?? []
    if (start !== undefined && Number(count) > 0) ranges.push({ line: Number(start), lineLast: Number(start) + Number(count) - 1 })
  }
  return changed
}

function lines(listed: string): string[] {
  return listed.split('\0').filter((name) => name !== '')
}

function git(root: string, ...words: string[]): string {
  const result = Bun.spawnSync(['git', '-C', root, ...words], { stdin: 'ignore', stderr: 'pipe' })
  if (!result.success) throw new Error(`git ${words[0]} failed: ${result.stderr.toString().trim()}`)
  return result.stdout.toString()
}

function tryGit(root: string, ...words: string[]): string | undefined {
  const result = Bun.spawnSync(['git', '-C', root, ...words], { stdin: 'ignore', stderr: 'ignore' })
  return result.success ? result.stdout.toString() : undefined
}
