// The mutation run as the last suite of CI: mutants of the lines that the latest commits changed.

import { join } from 'node:path'
import { resolveCommit } from './git.ts'
import type { SuiteResult } from '../suites.ts'

const MINUTES = 1
/**
 * Score that the sample must reach, in percent. A sample of 30 mutants has a standard error of 9 points, so the floor is well below the
 * score of the whole tree: it is missed by changes with hardly any tests, not by the choice of the sample.
 */
const FLOOR = 35

/** Runs for a minute at most and shows the survivors. It counts as one test, which is skipped outside of a repository of git. */
export async function runMutationSuite(since: string, show: (text: string) => void): Promise<SuiteResult> {
  if (resolveCommit('.', since) === undefined) {
    show(`skipped: mutation run, because there is no commit ${since}`)
    return { passed: 0, failed: 0, skipped: 1 }
  }
  const words = ['--since', since, '--minutes', String(MINUTES), '--floor', String(FLOOR)]
  const child = Bun.spawn([process.execPath, '--no-orphans', join(import.meta.dir, '../mutate.ts'), ...words], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [stdout, stderr, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited])
  show(`${stdout}${stderr}`.trim())
  return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 }
}
