// `bun test/simulation/main.ts [--seeds N] [--from N] [--seed N] [--steps M] [--shrink]`: runs seeded simulations of whole agents. It is a
// program and not a test, because it replaces what the runtime gives every module of its process.

import { parseArgs } from 'node:util'
import { PLANTS } from './plants.ts'
import { kindOfFailure, shrink } from './shrink.ts'
import { installGlobals, realMs } from './world/globals.ts'
import { installModules, loadWorkers } from './world/modules.ts'

/** Longest time that making one failing script short may take, in milliseconds. */
const SHRINK_MS_MAX = 120_000

const { values } = parseArgs({
  options: {
    /** How many seeds run, and the first. */
    seeds: { type: 'string', default: '200' },
    from: { type: 'string', default: '1' },
    /** One seed. */
    seed: { type: 'string' },
    steps: { type: 'string', default: '40' },
    /** Numbers of the steps that are taken, the others are left out. */
    only: { type: 'string' },
    /** Makes the script of a failing seed short. */
    shrink: { type: 'boolean', default: false },
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
const only = values.only?.split(',').map(Number)
const startMs = realMs()
let failed = 0
let done = 0
for (let seed = from; seed < from + count; seed++) {
  const all = drawSteps(createRandom(seed), Number(values.steps))
  const steps = only ? all.filter(({ id }) => only.includes(id)) : all
  const { failure, where, events, traceHash } = await runScript(seed, steps, { onLine: values.trace ? (line) => console.log(line) : undefined })
  done++
  if (values.json) console.log(JSON.stringify({ seed, failure: failure?.message ?? null, events, trace: traceHash }))
  if (!failure) continue
  failed++
  console.error(`seed ${seed} failed at ${where}: ${failure.stack}`)
  const repeat = `SLIPWAY_SEED=${seed} bun test/simulation/main.ts --seed ${seed} --steps ${values.steps}${values.plant === undefined ? '' : ` --plant ${values.plant}`}`
  console.error(`Repeat it with: ${repeat}${values.only === undefined ? '' : ` --only ${values.only}`}`)
  if (values.shrink) {
    const began = realMs()
    const kind = kindOfFailure(failure)
    const fails = async (some: typeof steps): Promise<boolean> => {
      const again = await runScript(seed, some)
      return again.failure !== undefined && kindOfFailure(again.failure) === kind
    }
    const short = await shrink(
      steps,
      (some) => fails([...some]),
      () => realMs() - began > SHRINK_MS_MAX,
    )
    console.error(`These ${short.length} steps are enough:`)
    for (const step of short) console.error(`  ${JSON.stringify(step)}`)
    console.error(`Repeat them with: ${repeat} --only ${short.map(({ id }) => id).join(',')}`)
  }
  if (plant) break
}
const seconds = (realMs() - startMs) / 1000
console.error(`${done} seeds, ${failed} failed, ${Math.round((done / seconds) * 60)} a minute`)
process.exit(failed > 0 ? 1 : 0)
