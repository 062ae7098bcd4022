// Kills an agent at crash points. Afterwards the store opens, scrub finds no damage, everything acknowledged is present, and new images are accepted.

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { cpSync } from 'node:fs'
import { agentCommand } from '../support/agents/agent-command.ts'
import { startAgent } from '../support/agents/agent-process.ts'
import type { AgentProcess } from '../support/agents/agent-process.ts'
import { Ledger } from '../support/agents/ledger.ts'
import type { LedgerImage } from '../support/agents/ledger.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../support/machine/temporary-folder.ts'
import { until } from '../support/until.ts'
import type { Scenarios } from './scenarios/points.ts'
import { MIB, noise } from './scenarios/stage.ts'
import type { Stage } from './scenarios/stage.ts'

/** Declares a test for each scenario: an agent is killed at its point, and started again. */
export function killAtPoints(scenarios: Scenarios): void {
  let sourceFolder: TemporaryFolder
  let sourceAgent: AgentProcess
  let source: Stage['source']
  let templateFolder: TemporaryFolder
  let template: Ledger

  beforeAll(async () => {
    sourceFolder = await createTemporaryFolder()
    sourceAgent = await startAgent(sourceFolder.path)
    const bytes = noise(20 * MIB, 5)
    const ledger = new Ledger(sourceAgent)
    const { id } = await makeImage(ledger, bytes, 'elsewhere')
    await ledger.verify()
    source = { url: sourceAgent.url, imageId: id, bytes }
    templateFolder = await createTemporaryFolder()
    template = await makeTemplate(templateFolder.path)
  }, 180_000)
  afterAll(async () => {
    await sourceAgent[Symbol.asyncDispose]()
    await sourceFolder[Symbol.asyncDispose]()
    await templateFolder[Symbol.asyncDispose]()
  })

  for (const [point, scenario] of Object.entries(scenarios)) {
    test(`killed at ${point}: nothing acknowledged is missing, scrub is clean, the store works`, async () => {
      await using folder = await createTemporaryFolder()
      cpSync(templateFolder.path, folder.path, { recursive: true })
      const options = { config: scenario.config ?? '' }
      await using agent = await startAgent(folder.path, {
        ...options,
        environment: { SLIPWAY_CRASH_POINT: point },
      })
      const ledger = template.copyFor(agent)
      const stage = stageOf(agent, ledger, source)
      // The request that runs into the crash gets no response.
      await scenario.run(stage).catch(() => undefined)
      expect(await agent.ended()).toBe('SIGKILL')

      const scrub = await agentCommand(folder.path, ['scrub'], options)
      expect(scrub).toMatchObject({
        exitCode: 0,
        stdout: expect.stringContaining('0 damaged, 0 missing'),
      })
      await agent.restart(options)
      await ledger.verify()
      await makeImage(ledger, noise(2 * MIB, 77), 'last')
      for (const upload of [...ledger.uploads.values()]) await ledger.finish(upload)
      expect(ledger.uploads.size).toBe(0)
      await scenario.after?.(stage)
      await ledger.verify()
    }, 180_000)
  }
}

/** Creates the store that every scenario copies, and stops its agent. */
async function makeTemplate(folder: string): Promise<Ledger> {
  await using agent = await startAgent(folder)
  const ledger = new Ledger(agent)
  const common = noise(MIB, 1)
  await makeImage(ledger, Buffer.concat([common, noise(MIB, 2), new Uint8Array(MIB)]), 'staying')
  await makeImage(ledger, Buffer.concat([common, noise(9 * MIB, 3)]), 'going')
  const half = await ledger.create(noise(3 * MIB, 4), 'half')
  if (!half) throw new Error('the upload could not be created')
  await ledger.send(half, 0, MIB + 17)
  await ledger.verify()
  await until(
    'the digests are known',
    async () => (await agent.client.images.list({ status: 'available' })).items.filter(({ digest }) => digest !== null).length === 2,
  )
  return ledger
}

function stageOf(agent: AgentProcess, ledger: Ledger, source: Stage['source']): Stage {
  const [, going] = ledger.images.values()
  const [open] = ledger.uploads.values()
  if (!going || !open) throw new Error('the template lacks an image or an upload')
  return { agent, ledger, going, open, source }
}

async function makeImage(ledger: Ledger, bytes: Uint8Array, name: string): Promise<LedgerImage> {
  const made = await ledger.create(new Uint8Array(bytes), name)
  const image = made && (await ledger.send(made, 0))
  if (!image) throw new Error(`the image ${name} could not be created`)
  return image
}
