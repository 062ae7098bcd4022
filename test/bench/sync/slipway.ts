// Slipway in the bench `sync`: one agent process has all versions, and each target is another agent process.

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { residentBytesMax, resetResidentBytesMax } from '../../support/agents/resident-memory.ts'
import type { ImageFamily } from '../../support/images/image-family.ts'
import { available, startBenchAgent, uploadByCurl } from '../agent-load.ts'
import { cpuSecondsOf, idle, run } from '../measure.ts'
import type { Puller, Pulled, Target, Version } from './puller.ts'
import { TooSlow, VERSIONS } from './puller.ts'

/** Rarely enough that the requests for the state of the task cost the target little. */
const LOOK_MS = 25

export async function startSlipway(family: ImageFamily, folder: string): Promise<Puller> {
  const source = await startBenchAgent(join(folder, 'source'))
  const ids = new Map<Version, string>()
  for (const version of VERSIONS) {
    const { id } = await uploadByCurl(source, family[version], version)
    await available(source, id)
    ids.set(version, id)
  }
  await idle(source.pid)
  return {
    name: 'slipway',
    port: Number(new URL(source.url).port),
    pid: source.pid,
    createTarget: async (path) => createTarget(family, await startBenchAgent(path), (version) => ids.get(version) ?? ''),
    async [Symbol.asyncDispose]() {
      await source.kill()
      rmSync(source.folder, { recursive: true, force: true })
    },
  }
}

function createTarget(family: ImageFamily, target: AgentProcess, idOf: (version: Version) => string): Target {
  return {
    async pull(version, port, limitMs) {
      // Work on the image before, such as its digest, does not count.
      await idle(target.pid)
      resetResidentBytesMax(target.pid)
      const cpuBefore = cpuSecondsOf(target.pid)
      const seconds = await sync(target, `http://127.0.0.1:${port}`, idOf(version), limitMs)
      const pulled: Pulled = { seconds, cpuSeconds: cpuSecondsOf(target.pid) - cpuBefore, residentBytesMax: residentBytesMax(target.pid) }
      return pulled
    },
    async verify(version) {
      const url = `${target.url}/v1/images/${idOf(version)}/content`
      await run({ line: ['sh', '-c', 'curl -sS --fail -H "$1" "$2" | cmp - "$3"', 'sh', `Authorization: Bearer ${TEST_ADMIN_TOKEN}`, url, family[version]] })
    },
    async [Symbol.asyncDispose]() {
      await target.kill()
      rmSync(target.folder, { recursive: true, force: true })
    },
  }
}

/** Runs a sync; returns the seconds until its task has succeeded and its bytes are durable. */
async function sync(target: AgentProcess, url: string, image: string, limitMs: number): Promise<number> {
  const { client } = target
  const startedMs = performance.now()
  const { id } = await client.sync({ source: { url, token: TEST_ADMIN_TOKEN }, images: [image] })
  for (;;) {
    const { state, error } = await client.tasks.get(id)
    if (state === 'succeeded') break
    if (state === 'failed' || state === 'cancelled') throw new Error(`the sync ${state}: ${JSON.stringify(error)}`)
    if (performance.now() - startedMs > limitMs) throw new TooSlow(`the sync took longer than ${limitMs / 1000} s`)
    await Bun.sleep(LOOK_MS)
  }
  await Bun.spawn(['sync', '-f', target.folder]).exited
  return (performance.now() - startedMs) / 1000
}
