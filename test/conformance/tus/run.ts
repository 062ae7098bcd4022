// Runs the suite against one server.

import { errorText } from '../../../protocol/errors.ts'
import { coreCases } from './core-cases.ts'
import { extensionCases } from './extension-cases.ts'
import { Deviation } from './suite.ts'
import type { Case, Target } from './suite.ts'
import { verifyCases } from './verify-cases.ts'

export const CASES: readonly Case[] = [...coreCases, ...extensionCases, ...verifyCases].toSorted((a, b) => a.row - b.row)

export interface Verdict {
  readonly case: Case
  /** `skipped`: the server does not announce what the case needs. `broken`: it did not send a valid HTTP answer. */
  readonly outcome: 'passed' | 'failed' | 'broken' | 'skipped'
  readonly detail: string
}

/** Runs one case and returns the verdict. */
export async function judge(target: Target, one: Case): Promise<Verdict> {
  const missing = (one.needs ?? []).filter((extension) => !target.has(extension))
  if (missing.length > 0) return { case: one, outcome: 'skipped', detail: `without ${missing.join(', ')}` }
  try {
    await one.run(target)
    return { case: one, outcome: 'passed', detail: '' }
  } catch (error) {
    const detail = errorText(error)
    return { case: one, outcome: error instanceof Deviation ? 'failed' : 'broken', detail }
  }
}
