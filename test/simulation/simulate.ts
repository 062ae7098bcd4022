// Runs `main.ts` in a process of its own and reads its outcome.

import { join } from 'node:path'
import { z } from 'zod'

const runSchema = z.object({ seed: z.number(), failure: z.string().nullable(), events: z.number(), trace: z.string() })

export interface SimulationOutcome {
  readonly runs: readonly z.infer<typeof runSchema>[]
  /** What it printed for people. */
  readonly output: string
}

/** Runs simulations; arguments as of `main.ts`. */
export async function simulate(...args: string[]): Promise<SimulationOutcome> {
  // The seed of the test run would select a single simulation.
  const { SLIPWAY_SEED: _, ...env } = process.env
  const child = Bun.spawn([process.execPath, join(import.meta.dir, 'main.ts'), '--json', ...args], { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe', env })
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited])
  const lines = stdout.split('\n').filter((line) => line.startsWith('{'))
  if (lines.length === 0) throw new Error(`the simulation did not run:\n${stdout}${stderr}`)
  return { runs: lines.map((line) => runSchema.parse(JSON.parse(line))), output: stderr }
}
