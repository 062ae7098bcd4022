// `bun run build`: compiles the agent, and the console with the bot, into two self-contained programs, dist/slipway-agent and
// dist/slipway.

import { statSync } from 'node:fs'
import { join } from 'node:path'
import { errorText } from '../protocol/errors.ts'
import { formatSize } from '../protocol/units.ts'
import { buildAgent, buildBot } from './build-program.ts'

const dist = join(import.meta.dir, '../dist')

try {
  for (const build of [buildAgent, buildBot]) {
    const out = await build(dist)
    console.log(`${out.slice(join(dist, '..').length + 1)} (${formatSize(statSync(out).size)})`)
  }
} catch (error) {
  console.error(errorText(error))
  process.exitCode = 1
}
