// Which units of the sources each test of a file reaches, measured once in a copy of the tree whose sources record it.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { runTestFile } from './test-run.ts'
import { instrument, unitsOf } from './units.ts'
import type { ContentKeys } from './result-cache.ts'
import type { Copy, Workspace } from './workspace.ts'

/** Limit of the run of a whole test file that records what it reaches. */
const MEASURE_LIMIT_MS = 120_000
/** Waiting costs a fraction of computing. */
const WAITING_DIVISOR = 10
const PRELOAD = join(import.meta.dir, 'reached-preload.ts')

const coverageSchema = z.object({
  /** Time before the first test and between tests. */
  startMs: z.number(),
  /** The name of each test after those of its groups, its time, and what it costs: most of that is time of processors, which does not depend on how busy the machine is. */
  tests: z.array(z.object({ name: z.string(), ms: z.number(), cost: z.number() })),
  /** For each source file its content, and for each unit that was reached the tests that did, as positions in `tests`. */
  files: z.record(z.string(), z.object({ hash: z.string(), reachedBy: z.record(z.string(), z.array(z.number())) })),
})

/** What one test file reaches. */
export type Coverage = z.infer<typeof coverageSchema>

export interface Coverages {
  /** Returns the coverage of a test file if it was measured since the test file and the source file changed. */
  known(test: string, file: string): Coverage | undefined
  /** Returns the coverage, measured now if it has to be; undefined if the signal ended the run. */
  measure(test: string, file: string): Promise<Coverage | undefined>
}

/**
 * Coverages of one tree, kept in a folder. One that was measured before a third file changed is used all the same: it only chooses the
 * tests to run, and measuring all of them after each change takes longer than judging the mutants.
 */
export function createCoverages(deps: {
  readonly workspace: Workspace
  readonly files: readonly string[]
  readonly folder: string
  readonly keys: ContentKeys
  readonly signal: AbortSignal
}): Coverages {
  const { keys, signal } = deps
  const sources = deps.files.filter((file) => /\.tsx?$/.test(file) && !file.endsWith('.d.ts') && !file.startsWith('test/'))
  const known = new Map<string, Coverage>()
  const measuring = new Map<string, Promise<Coverage | undefined>>()
  const idle: Copy[] = []
  let recording: Recording | undefined
  const fileOf = (test: string): string => join(deps.folder, 'coverage', `${keys.ofFile(test)}.json`)
  const find = (test: string, file: string): Coverage | undefined => {
    const found = known.get(test) ?? (existsSync(fileOf(test)) ? parse(readFileSync(fileOf(test), 'utf8')) : undefined)
    const reached = found?.files[file]
    if (found) known.set(test, found)
    return reached && reached.hash !== keys.ofFile(file) ? undefined : found
  }
  const measureNow = async (test: string): Promise<Coverage | undefined> => {
    recording ??= record(deps.workspace.reference, sources)
    const copy = idle.pop() ?? recordingCopy(deps.workspace, recording)
    try {
      const measured = await measureIn(copy, test, { recording, keys, signal })
      if (!measured) return undefined
      known.set(test, measured.coverage)
      // A run that failed or was cut, as on a busy machine, reached too little: another run measures the file again.
      if (measured.isWhole) {
        mkdirSync(dirname(fileOf(test)), { recursive: true })
        writeFileSync(fileOf(test), JSON.stringify(measured.coverage))
      }
      return measured.coverage
    } finally {
      idle.push(copy)
      measuring.delete(test)
    }
  }
  return {
    known: find,
    async measure(test, file) {
      const found = find(test, file)
      if (found) return found
      let run = measuring.get(test)
      if (!run) measuring.set(test, (run = measureNow(test)))
      return await run
    },
  }
}

/** Sources that record what they reach. */
interface Recording {
  readonly texts: ReadonlyMap<string, string>
  /** File and number of each unit. */
  readonly units: readonly { readonly file: string; readonly unit: number }[]
}

function record(root: string, sources: readonly string[]): Recording {
  const texts = new Map<string, string>()
  const units: { file: string; unit: number }[] = []
  for (const file of sources) {
    const source = { path: file, text: readFileSync(join(root, file), 'utf8') }
    const count = unitsOf(source).length
    texts.set(file, instrument(source, units.length))
    for (let unit = 0; unit < count; unit++) units.push({ file, unit })
  }
  return { texts, units }
}

function recordingCopy(workspace: Workspace, { texts }: Recording): Copy {
  const copy = workspace.addCopy()
  for (const [file, text] of texts) copy.mutate(file, text)
  return copy
}

/** What the preload writes after each test. */
const lineSchema = z.object({ ms: z.number(), cpuMs: z.number(), units: z.array(z.number()), between: z.array(z.number()) })

async function measureIn(
  copy: Copy,
  test: string,
  { recording, keys, signal }: { readonly recording: Recording; readonly keys: ContentKeys; readonly signal: AbortSignal },
): Promise<{ readonly coverage: Coverage; readonly isWhole: boolean } | undefined> {
  const [reached, report, names] = ['reached', 'report', 'names.xml'].map((name) => join(copy.root, '..', name)) as [string, string, string]
  writeFileSync(reached, new Uint8Array(recording.units.length))
  for (const file of [report, names]) rmSync(file, { force: true })
  const { ms, outcome } = await runTestFile(copy, test, {
    limitMs: MEASURE_LIMIT_MS,
    signal,
    all: true,
    words: ['--preload', PRELOAD, '--reporter=junit', `--reporter-outfile=${names}`],
    environment: { SLIPWAY_REACHED: reached, SLIPWAY_REACHED_REPORT: report },
  })
  if (signal.aborted) return undefined
  const lines = existsSync(report) ? readFileSync(report, 'utf8').trim().split('\n') : []
  const coverage = toCoverage(
    lines.map((line) => lineSchema.parse(JSON.parse(line))),
    existsSync(names) ? testNames(readFileSync(names, 'utf8')) : [],
    { ms, recording, keys },
  )
  return { coverage, isWhole: outcome === 'passed' }
}

function toCoverage(
  lines: readonly z.infer<typeof lineSchema>[],
  names: readonly string[],
  { ms, recording, keys }: { readonly ms: number; readonly recording: Recording; readonly keys: ContentKeys },
): Coverage {
  const coverage: Coverage = { startMs: 0, tests: [], files: {} }
  // Without a name for each test the file is one test.
  const isNamed = names.length === lines.length && names.length > 0
  const add = (id: number, test: number): void => {
    const place = recording.units[id]
    if (!place) return
    const file = (coverage.files[place.file] ??= { hash: keys.ofFile(place.file), reachedBy: {} })
    const tests = (file.reachedBy[place.unit] ??= [])
    if (tests.at(-1) !== test) tests.push(test)
  }
  const shared = new Set(lines.flatMap(({ between }) => between))
  for (const [i, line] of lines.entries()) {
    const test = isNamed ? i : 0
    for (const id of new Set([...shared, ...line.units])) add(id, test)
  }
  const testsMs = lines.reduce((sum, line) => sum + line.ms, 0)
  const costs = lines.map(({ ms: wallMs, cpuMs }) => cpuMs + wallMs / WAITING_DIVISOR)
  if (isNamed) coverage.tests.push(...lines.map((line, i) => ({ name: names[i] ?? '', ms: line.ms, cost: costs[i] ?? 0 })))
  else coverage.tests.push({ name: '', ms: testsMs, cost: costs.reduce((sum, cost) => sum + cost, 0) })
  coverage.startMs = Math.max(1, ms - testsMs)
  return coverage
}

/** Returns the names of the tests that ran, in their order, each after those of its groups, from a report of JUnit. */
export function testNames(xml: string): string[] {
  const names: string[] = []
  /** The file and the groups around a test. */
  const groups: string[] = []
  for (const [tag, attributes = '', rest = ''] of xml.matchAll(/<\/?test(?:suite|case)\b([^>]*)>(\s*<skipped)?/g)) {
    const name = unescapeXml(/ name="([^"]*)"/.exec(attributes)?.[1] ?? '')
    if (tag.startsWith('</testsuite')) groups.pop()
    else if (tag.startsWith('<testsuite')) groups.push(name)
    else if (tag.startsWith('<testcase') && (rest === '' || attributes.endsWith('/'))) names.push([...groups.slice(1), name].join(' '))
  }
  return names
}

const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' }

function unescapeXml(text: string): string {
  return text.replaceAll(/&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi, (whole, decimal: string | undefined, hex: string | undefined, name: string | undefined) => {
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal))
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16))
    return ENTITIES[name ?? ''] ?? whole
  })
}

function parse(text: string): Coverage | undefined {
  try {
    return coverageSchema.safeParse(JSON.parse(text)).data
  } catch {
    // Another process is writing it.
    return undefined
  }
}
