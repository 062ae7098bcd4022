// What a scenario of a crash gets and does.

import type { AgentProcess } from '../../support/agents/agent-process.ts'
import type { Ledger, LedgerImage, LedgerUpload } from '../../support/agents/ledger.ts'
import { createRandom } from '../../support/properties.ts'
import { until } from '../../support/until.ts'

export const MIB = 1024 * 1024

/** Returns bytes that do not compress, the same for the same seed. */
export const noise = (length: number, seed: number): Uint8Array<ArrayBuffer> => new Uint8Array(createRandom(seed).bytes(length))

/** A store with an image that is kept, an image to be deleted that fills most of the pack, and a half-finished upload. */
export interface Stage {
  readonly agent: AgentProcess
  readonly ledger: Ledger
  readonly going: LedgerImage
  readonly open: LedgerUpload
  /** Another store with an image that this one lacks. */
  readonly source: { readonly url: string; readonly imageId: string; readonly bytes: Uint8Array<ArrayBuffer> }
}

export interface Scenario {
  readonly config?: string
  /** Makes the agent pass the point; resolves or rejects when the agent is gone. */
  run(stage: Stage): Promise<unknown>
  /** Checks what must hold after the restart in this scenario, in addition to the checks for all. */
  after?(stage: Stage): Promise<unknown>
}

/** Waits for the end of a task, and returns it. */
export async function ended(agent: AgentProcess, id: string) {
  return until(`task ${id} has ended`, async () => {
    const task = await agent.client.tasks.get(id)
    return task.endedAt === null ? undefined : task
  })
}
