// `bun run mutate`: changes the code in small ways that a bug would look like, and lists the changes that no test notices.

import { errorText } from '../protocol/errors.ts'
import { resolveCommit } from './mutate/git.ts'
import { runMutation } from './mutate/mutation-run.ts'
import { failuresOf, renderJson, renderText } from './mutate/report.ts'
import { cacheFolder, parseWords, USAGE } from './mutate/words.ts'
import type { Words } from './mutate/words.ts'

/** Time between two lines of progress. */
const PROGRESS_MS = 15_000

async function main(): Promise<number> {
  const root = process.cwd()
  const words = readWords(root)
  if (typeof words === 'string') {
    process.stderr.write(`${words}\n\n${USAGE}\n`)
    return 2
  }
  const interrupted = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => interrupted.abort(new Error(signal)))
  let shownMs = performance.now()
  const report = await runMutation({
    ...words,
    root,
    cacheFolder: cacheFolder(root),
    signal: interrupted.signal,
    progress(done, total) {
      if (performance.now() - shownMs < PROGRESS_MS) return
      shownMs = performance.now()
      process.stderr.write(`${done} of ${total} mutants\n`)
    },
  })
  if (interrupted.signal.aborted) return 130
  process.stdout.write(`${words.json ? renderJson(report) : renderText(report)}\n`)
  const failures = failuresOf(report, words.floor)
  for (const failure of failures) process.stderr.write(`${failure}\n`)
  return failures.length === 0 ? 0 : 1
}

/** Returns a sentence if the words are not understood. */
function readWords(root: string): Words | string {
  try {
    const words = parseWords(process.argv.slice(2))
    if (words.since === undefined) return words
    const since = resolveCommit(root, words.since)
    return since === undefined ? `There is no commit ${words.since}.` : { ...words, since }
  } catch (error) {
    return errorText(error)
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`${errorText(error)}\n`)
  process.exitCode = 2
}
