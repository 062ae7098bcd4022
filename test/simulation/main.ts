// `bun test/simulation/main.ts [--seeds N] [--from N] [--seed N] [--steps M] [--trace] [--json]`: runs seeded simulations of whole agents. It
// is a program and not a test, because it replaces what the runtime gives every module of its process.

import { parseArgs } from 'node:util'
import { PLANTS } from './plants.ts'
import { installGlobals, realMs } from './world/globals.ts'
import { installModules, loadWorkers } from './world/modules.ts'

const { values } = parseArgs({
  options: {
    /** How many seeds run, and the first. */
    seeds: { type: 'string', default: '200' },
    from: { type: 'string', default: '1' },
    /** One seed. */
    seed: { type: 'string' },
    steps: { type: 'string', default: '40' },
    /** Prints every step and every event. */
    trace: { type: 'boolean', default: false },
    /** Runs agents with a defect of plants.ts, until a seed finds it. */
    plant: { type: 'string' },
    /** Prints one JSON line for each seed. */
    json: { type: 'boolean', default: false },
  },
})

const plant = values.plant === undefined ? undefined : PLANTS[values.plant]
if (values.plant !== undefined && !plant) throw new Error(`there is no planted defect ${values.plant}; there are ${Object.keys(PLANTS).join(', ')}`)
installModules(plant?.replacements ?? [])
installGlobals()
await loadWorkers()
const { runScript } = await import('./run.ts')
const { drawSteps } = await import('./steps.ts')
const { createRandom } = await import('../support/properties.ts')

const single = values.seed ?? process.env['SLIPWAY_SEED']
const from = Number(single ?? values.from)
const count = single === undefined ? Number(values.seeds) : 1
const startMs = realMs()
let failed = 0
for (let seed = from; seed < from + count; seed++) {
  const steps = drawSteps(createRandom(seed), Number(values.steps))
  const { failure, where, events, traceHash } = await runScript(seed, steps, { onLine: values.trace ? (line) => console.log(line) : undefined })
  if (values.json) console.log(JSON.stringify({ seed, failure: failure?.message ?? null, events, trace: traceHash }))
  if (!failure) continue
  failed++
  console.error(`seed ${seed} failed at ${where}: ${failure.stack}`)
  if (plant) break
  console.error(`Repeat it with: bun test/simulation/main.ts --seed ${seed} --steps ${values.steps}\n`)
}
const seconds = (realMs() - startMs) / 1000
console.error(`${count} seeds, ${failed} failed, ${Math.round((count / seconds) * 60)} a minute`)
process.exit(failed > 0 ? 1 : 0)
