// What a mutation run prints: survivors with their diff, scores by folder, what was left out.

import { EQUIVALENTS_FILE } from './equivalents.ts'
import type { Equivalent } from './equivalents.ts'
import type { Verdict } from './judge.ts'
import type { Judged, MutationReport } from './mutation-run.ts'

/** A score of fewer mutants says little. */
const FLOOR_MUTANTS_MIN = 30

export interface Score {
  readonly folder: string
  readonly mutants: number
  readonly killed: number
  readonly timeouts: number
  readonly survived: number
  readonly notCovered: number
  /** Killed mutants in percent of those that were judged, with one decimal; null if none was. */
  readonly score: number | null
}

/** Whether a verdict is a failure of the tests. */
export function isSurvivor({ verdict }: Judged): boolean {
  return verdict.kind === 'survived' || verdict.kind === 'not covered'
}

/**
 * Returns why the run fails, a sentence each. Every survivor is a failure; with a floor only a score below it is, and only where
 * enough mutants were judged to tell.
 */
export function failuresOf(report: MutationReport, floor: number | undefined): string[] {
  const stale = report.stale.map((entry) => `${EQUIVALENTS_FILE} names a mutant that does not exist: ${describeEntry(entry)}`)
  const survivors = report.judged.filter(isSurvivor).length
  if (floor === undefined) return survivors > 0 ? [...stale, `${survivors} mutants survived.`] : stale
  const { score, mutants } = scoreOf('total', report.judged)
  if (score === null || score >= floor || mutants < FLOOR_MUTANTS_MIN) return stale
  return [...stale, `The score is ${score} %, less than ${floor} %. Kill survivors of this list until it is reached.`]
}

/** Returns the score of each folder, `total` last. */
export function scoresOf(report: MutationReport): Score[] {
  const folders = [...new Set(report.judged.map(({ mutant }) => folderOf(mutant.file)))]
  return [
    ...folders.map((folder) =>
      scoreOf(
        folder,
        report.judged.filter(({ mutant }) => folderOf(mutant.file) === folder),
      ),
    ),
    scoreOf('total', report.judged),
  ]
}

/** Returns the report as lines of text. */
export function renderText(report: MutationReport): string {
  const lines = report.judged
    .filter(isSurvivor)
    .flatMap(({ mutant, verdict }) => [
      `${mutant.file}:${mutant.line} ${mutant.operator} (${whatSurvived(verdict)})`,
      `  - ${mutant.before}`,
      `  + ${mutant.after}`,
    ])
  for (const { test, output } of report.failingTests) lines.push(`${test} fails without a mutant and was left out:`, output)
  const scores = scoresOf(report).filter(({ folder, mutants }) => mutants > 0 || folder === 'total')
  lines.push('', row(['folder', 'mutants', 'killed', 'timeout', 'survived', 'not covered', 'score']))
  for (const { folder, mutants, killed, timeouts, survived, notCovered, score } of scores)
    lines.push(row([folder, mutants, killed, timeouts, survived, notCovered, score === null ? '-' : `${score} %`]))
  lines.push('', summary(report))
  return lines.join('\n')
}

/** Returns the report as a JSON value. */
export function renderJson(report: MutationReport): string {
  const survivors = report.judged.filter(isSurvivor).map(({ mutant, verdict }) => {
    const { file, line, operator, before, after } = mutant
    return { file, line, operator, before, after, tests: verdict.kind === 'survived' ? verdict.tests : [] }
  })
  const { inScope, listed, refused, seed, stale, failingTests } = report
  return JSON.stringify({ survivors, scores: scoresOf(report), inScope, judged: judgedCount(report), listed, refused, seed, stale, failingTests })
}

function summary(report: MutationReport): string {
  const { inScope, listed, refused, seed } = report
  const judged = judgedCount(report)
  const notRun = report.judged.length - judged
  const left = inScope - listed - refused - report.judged.length
  const isSample = notRun + left > 0
  return [
    isSample ? `A sample of ${judged} of ${inScope} mutants, chosen with seed ${seed}.` : `All ${inScope} mutants.`,
    ...(notRun > 0 ? [`Time was up before ${notRun} were run.`] : []),
    ...(refused > 0 ? [`${refused} of them do not compile and are not counted.`] : []),
    ...(listed > 0 ? [`${listed} are listed in ${EQUIVALENTS_FILE}.`] : []),
  ].join(' ')
}

function judgedCount(report: MutationReport): number {
  return report.judged.filter(({ verdict }) => verdict.kind !== 'not run').length
}

function scoreOf(folder: string, all: readonly Judged[]): Score {
  const count = (kind: Verdict['kind']): number => all.filter(({ verdict }) => verdict.kind === kind).length
  const timeouts = all.filter(({ verdict }) => verdict.kind === 'killed' && verdict.isTimeout).length
  const [killed, survived, notCovered] = [count('killed'), count('survived'), count('not covered')]
  const mutants = killed + survived + notCovered
  return { folder, mutants, killed, timeouts, survived, notCovered, score: mutants === 0 ? null : Math.round((killed / mutants) * 1000) / 10 }
}

function folderOf(file: string): string {
  return file.split('/').slice(0, -1).slice(0, 2).join('/')
}

function whatSurvived(verdict: Verdict): string {
  if (verdict.kind !== 'survived') return 'not covered'
  return verdict.tests.length > 2 ? `survived ${verdict.tests.length} test files` : `survived ${verdict.tests.join(', ')}`
}

function describeEntry({ file, operator, before, after }: Equivalent): string {
  return `${file}, ${operator}, "${before}" to "${after}"`
}

function row(cells: readonly (string | number)[]): string {
  return cells.map((cell, i) => (i === 0 ? String(cell).padEnd(20) : String(cell).padStart(12))).join('')
}
