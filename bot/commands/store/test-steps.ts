// The steps of a connection test as rows of an answer.

import { makeProblem } from '../../../protocol/problems.ts'
import type { Connectivity, Step } from '../../fleet/connectivity.ts'
import type { Column, Row, Tone, View } from '../../../protocol/views/view.ts'
import type { CommandContext } from '../command.ts'
import { problemView } from '../run.ts'

const TONES: Record<Step['state'], Tone> = { passed: 'good', warning: 'warning', failed: 'bad', skipped: 'plain' }

const COLUMNS: readonly Column[] = [
  { key: 'step', label: 'Step' },
  { key: 'state', label: 'State' },
  { key: 'detail', label: 'Detail' },
]

/** Columns and rows of an answer with the steps of a test. */
export function stepTable(steps: readonly Step[]): Pick<View, 'columns' | 'rows'> {
  return { columns: COLUMNS, rows: steps.map(({ step, state, detail }): Row => ({ tone: TONES[state], cells: { step, state, detail } })) }
}

/** The answer when the test failed; `consequence` says what was not done. */
export function failedTest(
  context: Pick<CommandContext, 'clock'>,
  { step, detail, action, steps }: Extract<Connectivity, { kind: 'failed' }>,
  consequence: string,
): View {
  const words = `The connection test failed at step ${step}: ${detail}${consequence === '' ? '' : ` ${consequence}`}`
  const problem = makeProblem('peer-unreachable', words, { title: 'Connection test failed', action, step })
  const view = problemView(context, problem, 'failed')
  return { ...view, ...stepTable(steps), json: { ...(view.json as Record<string, unknown>), steps } }
}
