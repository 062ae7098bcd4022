// Runs `bun run mutate` on a planted repository.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { until } from '../../support/until.ts'
import { EQUIVALENT, plant } from './planted.ts'
import type { Planted } from './planted.ts'

const reportSchema = z.object({
  survivors: z.array(z.object({ line: z.number(), operator: z.string(), before: z.string(), after: z.string(), tests: z.array(z.string()) })),
  scores: z.array(
    z.object({ folder: z.string(), mutants: z.number(), killed: z.number(), timeouts: z.number(), survived: z.number(), notCovered: z.number() }),
  ),
  inScope: z.number(),
  judged: z.number(),
  listed: z.number(),
  refused: z.number(),
  stale: z.array(z.object({ before: z.string() })),
  failingTests: z.array(z.object({ test: z.string(), output: z.string() })),
})

const parse = (stdout: string): z.infer<typeof reportSchema> => reportSchema.parse(JSON.parse(stdout))

/** Returns the processes whose working folder is below a path. */
function processesIn(folder: string): string[] {
  return readdirSync('/proc').filter((name) => {
    try {
      return /^\d+$/.test(name) && readlinkSync(join('/proc', name, 'cwd')).startsWith(folder)
    } catch {
      // The process has ended.
      return false
    }
  })
}

describe('a run', () => {
  let planted: Planted
  beforeAll(() => {
    planted = plant()
  })
  afterAll(() => planted[Symbol.dispose]())

  test('lists surviving mutants and counts the others', async () => {
    const { code, stdout } = await planted.mutate('--json')
    const report = parse(stdout)
    const lines = report.survivors.map(({ line, operator, tests }) => [line, operator, tests])
    const tests = ['test/protocol/planted.test.ts']
    expect(lines).toEqual([
      [4, 'comparison', tests],
      [4, 'number', tests],
      [8, 'arithmetic', []],
      [16, 'number', tests],
    ])
    expect(report.survivors[0]).toMatchObject({ before: 'return age >= 18', after: 'return age > 18' })
    expect(report.listed).toBe(1)
    // Those that return undefined instead of a number or a boolean, and the empty body of stepsTo.
    expect(report.refused).toBe(5)
    expect(report.stale).toEqual([])
    expect(report.failingTests.map(({ test }) => test)).toEqual(['test/protocol/failing.test.ts'])
    expect(report.failingTests[0]?.output).toContain('never passes')
    const total = report.scores.at(-1)
    expect(total).toMatchObject({ folder: 'total', survived: 3, notCovered: 1, mutants: report.inScope - 6 })
    expect(total?.timeouts).toBeGreaterThan(0)
    expect(total?.killed).toBe(report.inScope - 10)
    expect(code).toBe(1)
    expect(planted.leftovers()).toEqual([])
    expect(planted.git('status', '--porcelain')).toBe('')
    // What the failing test reached is not kept: on a busy machine it may have reached too little.
    expect(readdirSync(join(planted.temporary, '../cache/mutate/coverage'))).toHaveLength(1)
  }, 120_000)

  test('a second run has the same results without a mutated run', async () => {
    const first = await planted.mutate('--json')
    const cache = join(planted.temporary, '../cache/mutate/results')
    const results = readFileSync(cache, 'utf8')
    const second = await planted.mutate('--json')
    // The output of a failing test contains times.
    expect({ ...parse(second.stdout), failingTests: [] }).toEqual({ ...parse(first.stdout), failingTests: [] })
    expect(readFileSync(cache, 'utf8')).toBe(results)
  }, 120_000)

  test('a changed test is run again', async () => {
    const path = 'test/protocol/planted.test.ts'
    const before = readFileSync(join(planted.root, path), 'utf8')
    planted.write(path, `${before}\ntest('at the bound', () => expect(isAdult(18)).toBe(true))\n`)
    const { stdout } = await planted.mutate('protocol/planted.ts:4', '--json')
    expect(parse(stdout).survivors).toEqual([])
    planted.write(path, before)
  }, 120_000)

  test('a test that needs an earlier one of its file, or a worker, kills no mutant by failing alone', async () => {
    const [source, path, worker] = ['protocol/later.ts', 'test/protocol/later.test.ts', 'protocol/later-worker.ts']
    planted.write(source, 'export const half = (n: number): number => n / 2\n\nexport function twice(n: number): number {\n  return n + n\n}\n')
    planted.write(worker, `import { half } from './later.ts'\n\nself.onmessage = ({ data }: { data: number }) => postMessage(half(data) + 1)\n`)
    planted.write(
      path,
      `import { expect, test } from 'bun:test'
import { twice } from '../../protocol/later.ts'
let made = 0
test('first', () => {
  made = 1
  expect(made).toBe(1)
})
test('then', () => expect(made > 0 && twice(4) >= 0).toBe(true))
test('in a worker', async () => {
  const worker = new Worker(new URL('../../protocol/later-worker.ts', import.meta.url))
  const answer = new Promise<number>((resolve) => { worker.onmessage = ({ data }: MessageEvent<number>) => resolve(data) })
  worker.postMessage(8)
  expect(await answer).toBe(5)
  worker.terminate()
})
`,
    )
    const { stdout } = await planted.mutate(source, worker, '--json')
    const report = parse(stdout)
    expect(report.survivors.map(({ before, after, tests }) => [before, after, tests])).toEqual([['return n + n', 'return n - n', [path]]])
    expect(report.failingTests).toEqual([])
    // Half of another number, and what the worker adds.
    expect(report.scores.at(-1)?.killed).toBe(3)
    for (const file of [source, path, worker]) rmSync(join(planted.root, file))
  }, 120_000)

  test('prints survivors with a diff, scores, and the tests it skipped', async () => {
    const { stdout } = await planted.mutate('protocol/planted.ts:3-4')
    expect(stdout).toContain('protocol/planted.ts:4 comparison (survived test/protocol/planted.test.ts)\n  - return age >= 18\n  + return age > 18\n')
    expect(stdout).toContain('test/protocol/failing.test.ts fails without a mutant and was left out:\n')
    expect(stdout).toMatch(/^protocol +\d+ +\d+ +\d+ +2 +0 +[\d.]+ %$/m)
    expect(stdout).toMatch(/All 3 mutants\. 1 of them do not compile and are not counted\.$/m)
  }, 120_000)

  test('tests a sample that the seed chooses', async () => {
    const [first, again, other] = [
      await planted.mutate('--sample', '2', '--json'),
      await planted.mutate('--sample', '2', '--json'),
      await planted.mutate('--sample', '2', '--seed', '2'),
    ]
    // The output of a failing test contains times.
    expect({ ...parse(again.stdout), failingTests: [] }).toEqual({ ...parse(first.stdout), failingTests: [] })
    expect(parse(first.stdout).judged).toBe(2)
    expect(other.stdout).toMatch(/A sample of 2 of \d+ mutants, chosen with seed 2\./)
  }, 120_000)

  test('with --like mutates only lines that match', async () => {
    const { stdout } = await planted.mutate('--like', 'age >=', '--json')
    expect(parse(stdout)).toMatchObject({ inScope: 3, judged: 2, refused: 1, survivors: [{ line: 4 }, { line: 4 }] })
  }, 120_000)

  test('with --since mutates only lines that changed', async () => {
    const path = 'protocol/planted.ts'
    const before = readFileSync(join(planted.root, path), 'utf8')
    expect((await planted.mutate('--since', 'HEAD')).code).toBe(0)
    planted.write(path, before.replace('age >= 18', 'age >= 21'))
    const { stdout } = await planted.mutate('--since', 'HEAD', '--json')
    expect(new Set(parse(stdout).survivors.map(({ line }) => line))).toEqual(new Set([4]))
    expect((await planted.mutate('--since', 'HEAD~20')).code).toBe(1)
    expect(await planted.mutate('--since', 'no-such-commit')).toMatchObject({ code: 2, stdout: '' })
    planted.write(path, before)
  }, 120_000)

  test('an entry of the list whose mutant does not exist any more fails the run', async () => {
    planted.write('test/mutants.json', JSON.stringify({ equivalent: [EQUIVALENT, { ...EQUIVALENT, before: 'return b > a ? b : a' }] }))
    const { code, stdout } = await planted.mutate('protocol/planted.ts:12', '--json')
    expect(parse(stdout)).toMatchObject({ survivors: [], stale: [{ before: 'return b > a ? b : a' }] })
    expect(code).toBe(1)
    planted.write('test/mutants.json', JSON.stringify({ equivalent: [EQUIVALENT] }))
    expect((await planted.mutate('protocol/planted.ts:12')).code).toBe(0)
  }, 120_000)

  test('a floor applies only if enough mutants were tested', async () => {
    expect((await planted.mutate('--floor', '100')).code).toBe(0)
  }, 120_000)

  test('stops when time is up and reports how many mutants are left', async () => {
    const { code, stdout } = await planted.mutate('--minutes', '0')
    expect(stdout).toMatch(/A sample of \d+ of \d+ mutants, chosen with seed 1\. Time was up before \d+ were run\./)
    expect(code).toBe(0)
  }, 120_000)

  test.each([[['--frob']], [['--minutes', 'x']], [['no/such/path']]])('refuses %j', async (words) => {
    expect((await planted.mutate(...words)).code).toBe(2)
  })
})

describe('an interrupted run', () => {
  test('leaves no file and no process', async () => {
    using planted = plant()
    const run = planted.start()
    await until('a test runs', () => processesIn(planted.temporary).length > 0)
    run.kill('SIGTERM')
    expect(await run.exited).toBe(130)
    expect(planted.leftovers()).toEqual([])
    await until('all processes have ended', () => processesIn(planted.temporary).length === 0)
    expect(planted.git('status', '--porcelain')).toBe('')
  }, 60_000)

  test('that was killed leaves no process, and the next run removes its files', async () => {
    using planted = plant()
    const run = planted.start()
    await until('a test runs', () => processesIn(planted.temporary).length > 0)
    run.kill('SIGKILL')
    await run.exited
    await until('all processes have ended', () => processesIn(planted.temporary).length === 0)
    expect(planted.leftovers()).toHaveLength(1)
    await planted.mutate('protocol/planted.ts:8')
    expect(planted.leftovers()).toEqual([])
  }, 60_000)
})
