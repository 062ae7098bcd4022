// `bun run build`: compiles the agent, and the console with the bot, into two self-contained programs, dist/slipway-agent and
// dist/slipway.

import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { errorText } from '../protocol/errors.ts'
import { formatSize } from '../protocol/units.ts'
import { buildBot, buildProgram } from './build-program.ts'

const dist = join(import.meta.dir, '../dist')
mkdirSync(dist, { recursive: true })

async function buildAgent(): Promise<string> {
  /** Worker threads are entry points of their own in a compiled program. */
  const workers = [...new Bun.Glob('agent/**/*-worker.ts').scanSync(join(dist, '..'))].toSorted()
  const out = join(dist, 'slipway-agent')
  await buildProgram(out, ['agent/main.ts', ...workers])
  return out
}

try {
  for (const build of [buildAgent, () => buildBot(dist)]) {
    const out = await build()
    console.log(`${out.slice(join(dist, '..').length + 1)} (${formatSize(statSync(out).size)})`)
  }
} catch (error) {
  console.error(errorText(error))
  process.exitCode = 1
}
