// An agent that is stopped while clients are sending: it exits in time, acknowledged bytes are kept, and the uploads resume afterwards.

import { describe, expect, test } from 'bun:test'
import { sampleBytes, Target } from '../../conformance/tus/suite.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { createCuttingProxy } from '../../support/clients/cutting-proxy.ts'
import { digestOfImage } from '../../support/images/image-digest.ts'
import { makeNoiseFile } from '../../support/images/noise-file.ts'
import { requireTool } from '../../support/require.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { startTusUpload } from '../../support/clients/tus-upload.ts'
import { until } from '../../support/until.ts'

const MIB = 1024 * 1024
/** Longest time from SIGTERM to the end of the process: docs/tus.md promises 10 s, which a busy machine stretches. */
const STOP_MS_MAX = 30_000
const LENGTH = 64 * MIB
/** Bytes that are sent before SIGTERM. */
const SENT_BEFORE = 9 * MIB
const PIECE_BYTES = 64 * 1024
const CONFIG = '[transfer]\nupload-concurrency = 2\n'

const targetOf = (agent: AgentProcess): Promise<Target> =>
  Target.open({ url: `${agent.url}/v1/uploads`, headers: { Authorization: `Bearer ${TEST_ADMIN_TOKEN}` } })

/** Returns the address of an upload after a restart, which changes the port. */
const moved = (agent: AgentProcess, url: string): string => new URL(new URL(url).pathname, agent.url).href

/** Sends SIGTERM and returns the exit code; throws when the process does not exit within STOP_MS_MAX. */
async function stopInTime(agent: AgentProcess): Promise<number> {
  const startMs = performance.now()
  const code = await agent.stop()
  expect(performance.now() - startMs).toBeLessThan(STOP_MS_MAX)
  return code
}

describe('SIGTERM in the middle of a PATCH', () => {
  test('whose client keeps sending gets 503 with the offset of the next start', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.path)
    const bytes = sampleBytes(LENGTH)
    const url = await (await targetOf(agent)).create(LENGTH)
    using wire = await (await targetOf(agent)).beginPatch(url, 0, LENGTH, bytes.subarray(0, PIECE_BYTES))
    let sent = PIECE_BYTES
    const sending = (async () => {
      // The upload must not be complete before the agent is stopped, even if the agent is slow.
      while (sent < LENGTH - PIECE_BYTES && !wire.isEnded) {
        await wire.write(bytes.subarray(sent, sent + PIECE_BYTES))
        sent += PIECE_BYTES
        await Bun.sleep(sent < SENT_BEFORE ? 0 : 1)
      }
    })()
    await until('some bytes were sent', () => sent >= SENT_BEFORE)
    const stopping = stopInTime(agent)
    const answer = await wire.answer('PATCH')
    expect(answer.status).toBe(503)
    expect(answer.headers.get('retry-after')).toBeDefined()
    const offset = Number(answer.headers.get('upload-offset'))
    expect(await stopping).toBe(0)
    await sending
    expect(sent).toBeLessThan(LENGTH)
    expect(offset).toBeGreaterThan(0)
    expect(offset).toBeLessThanOrEqual(sent)

    await agent.restart()
    const again = moved(agent, url)
    expect(await (await targetOf(agent)).offset(again)).toBe(offset)
    const last = await (await targetOf(agent)).patch(again, offset, bytes.subarray(offset))
    expect(last.status).toBe(204)
    const digest = new Bun.CryptoHasher('sha256').update(bytes).digest('hex')
    expect(await digestOfImage(agent, last.headers.get('content-location') ?? '')).toBe(`sha256:${digest}`)
  }, 60_000)

  test('whose client is silent gets 503 with the offset of the next start', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.path)
    const url = await (await targetOf(agent)).create(LENGTH)
    // More than the buffers of a connection, so that the agent has received a part of it once all of it is sent.
    using wire = await (await targetOf(agent)).beginPatch(url, 0, LENGTH, sampleBytes(LENGTH - PIECE_BYTES))
    const stopping = stopInTime(agent)
    const answer = await wire.answer('PATCH')
    expect(answer.status).toBe(503)
    expect(answer.headers.get('tus-resumable')).toBe('1.0.0')
    expect(await stopping).toBe(0)
    await agent.restart()
    expect(await (await targetOf(agent)).offset(moved(agent, url))).toBe(Number(answer.headers.get('upload-offset')))
  }, 60_000)

  requireTool('node', 'nodejs')(
    'of several clients stops the agent in time, and each client resumes by itself',
    async () => {
      await using folder = await createTemporaryFolder()
      await using agent = await startAgent(folder.path, { config: CONFIG })
      const port = (): number => Number(new URL(agent.url).port)
      await using stack = new AsyncDisposableStack()
      const clients = await Promise.all(
        [1, 2, 3].map(async (seed) => {
          const path = folder.file(`noise-${seed}.raw`)
          const digest = await makeNoiseFile(path, LENGTH / 4, seed)
          const proxy = stack.use(await createCuttingProxy(port(), { bytesPerSecond: 8 * MIB }))
          proxy.holdAt(LENGTH / 8)
          return { digest, proxy, upload: stack.use(startTusUpload({ url: proxy.url, file: path, metadata: { name: `noise-${seed}` } })) }
        }),
      )
      // Two clients have slots and are sending; the third one waits for a slot with full buffers.
      await until('two clients are sending', () => clients.filter(({ proxy }) => proxy.bytes.up > LENGTH / 16).length >= 2)
      const before = clients.map(({ upload }) => upload.answers.length)
      expect(await stopInTime(agent)).toBe(0)
      await agent.restart()
      for (const { proxy } of clients) {
        proxy.setTarget(port())
        proxy.holdAt(Number.POSITIVE_INFINITY)
      }
      for (const [at, { digest, upload }] of clients.entries()) {
        expect(await digestOfImage(agent, await upload.image())).toBe(digest)
        let told = 0
        for (const { method, status, offset } of upload.answers.slice(before[at])) {
          if (offset === null) continue
          // A refusal at the stop has an offset too, which must hold like others.
          if (method === 'HEAD' && status === 200) expect(offset).toBeGreaterThanOrEqual(told)
          told = Math.max(told, offset)
        }
      }
    },
    120_000,
  )
})
