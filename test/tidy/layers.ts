// The direction of imports as a rule: protocol 0 ← agent/contract 1 ← capabilities 2 ← http, schedule 3 ← main 4.

import { importsOf } from './source-tree.ts'
import type { SourceFile } from './source-tree.ts'

interface Layer {
  readonly rank: number
  /** Files of one home may import each other. */
  readonly home: string
}

const CAPABILITIES = ['slices', 'uploads', 'images', 'imports', 'sync', 'browse', 'health', 'access', 'tasks', 'system', 'server', 'visibility', 'web']
const EDGES = ['http', 'schedule']

/** The layer of a file; undefined for one that stands nowhere in the plan. Scripts and tests may see everything. */
export function layerOf(path: string): Layer | undefined {
  const [top = '', second = '', ...rest] = path.split('/')
  if (top === 'protocol') return { rank: 0, home: 'protocol' }
  if (top === 'bot') return { rank: 1, home: 'bot' }
  if (top === 'scripts' || top === 'test') return { rank: 5, home: 'tools' }
  if (top !== 'agent') return undefined
  if (rest.length === 0 || second === 'commands') return { rank: 4, home: 'agent' }
  if (second === 'contract') return { rank: 1, home: 'agent/contract' }
  if (CAPABILITIES.includes(second)) return { rank: 2, home: `agent/${second}` }
  if (EDGES.includes(second)) return { rank: 3, home: `agent/${second}` }
  return undefined
}

/** A sentence for each import that does not go to the own home or to a lower layer. */
export function layerViolations(files: readonly SourceFile[]): string[] {
  const violations: string[] = []
  for (const file of files) {
    const from = layerOf(file.path)
    if (!from) {
      violations.push(`${file.path} stands in no layer`)
      continue
    }
    for (const { target } of importsOf(file)) {
      if (target?.endsWith('.json')) continue
      const to = target === undefined ? undefined : layerOf(target)
      if (target === undefined || to?.home === from.home) continue
      if (!to) violations.push(`${file.path} imports ${target}, which stands in no layer`)
      else if (from.home === 'bot' && to.home !== 'protocol') violations.push(`${file.path} imports ${target}: the bot knows the protocol only`)
      else if (from.rank < 5 && (to.home === 'bot' || to.rank >= from.rank))
        violations.push(`${file.path} (rank ${from.rank}) imports ${target} (rank ${to.rank})`)
    }
  }
  return violations
}
