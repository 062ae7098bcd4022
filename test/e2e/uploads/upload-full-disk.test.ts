// Other programs fill the disk to the last byte during an upload: the client gets an error, nothing acknowledged is lost, and the same
// upload resumes when there is space again.

import { describe, expect } from 'bun:test'
import { existsSync, rmSync } from 'node:fs'
import { sampleBytes, Target } from '../../conformance/tus/suite.ts'
import { agentCommand } from '../../support/agents/agent-command.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { createCuttingProxy } from '../../support/clients/cutting-proxy.ts'
import { digestOfImage } from '../../support/images/image-digest.ts'
import { fillDisk, mountLoop, requireLoopMount } from '../../support/machine/loop-mount.ts'
import type { LoopMount } from '../../support/machine/loop-mount.ts'
import { makeNoiseFile } from '../../support/images/noise-file.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { startTusUpload } from '../../support/clients/tus-upload.ts'
import { until } from '../../support/until.ts'

const MIB = 1024 * 1024
const DISK_BYTES = 128 * MIB
const LENGTH = 48 * MIB
/** More than the buffers of a connection, so that the agent has received some of it. */
const SENT_BEFORE = 24 * MIB
const mountTest = await requireLoopMount()

interface Scene extends AsyncDisposable {
  readonly folder: TemporaryFolder
  readonly mount: LoopMount
  readonly agent: AgentProcess
  readonly filler: string
}

async function openScene(): Promise<Scene> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const mount = stack.use(await mountLoop(folder.path, folder.file('store'), DISK_BYTES))
  const agent = stack.use(await startAgent(folder.path))
  const owned = stack.move()
  return { folder, mount, agent, filler: `${mount.path}/filler`, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

describe('a disk that fills up in the middle of a PATCH', () => {
  mountTest(
    'returns 507 with the same offset as HEAD at each attempt, and accepts the rest when there is space',
    async () => {
      await using scene = await openScene()
      const { agent, mount, filler } = scene
      const target = await Target.open({ url: `${agent.url}/v1/uploads`, headers: { Authorization: `Bearer ${TEST_ADMIN_TOKEN}` } })
      const bytes = sampleBytes(LENGTH)
      const url = await target.create(LENGTH)
      using wire = await target.beginPatch(url, 0, LENGTH, bytes.subarray(0, SENT_BEFORE))
      const journal = `${mount.path}/uploads/${url.split('/').at(-1)}/journal`
      await until('a part of the body is stored', () => existsSync(journal))
      fillDisk(filler)
      const sending = wire.write(bytes.subarray(SENT_BEFORE))
      const answer = await wire.answer('PATCH')
      expect(answer.status).toBe(507)
      expect(new TextDecoder().decode(answer.body)).toContain('urn:slipway:problem:insufficient-storage')
      wire.cut()
      await sending
      const offset = Number(answer.headers.get('upload-offset'))
      expect(offset).toBeGreaterThan(0)
      expect(offset).toBeLessThan(LENGTH)

      expect(await target.offset(url)).toBe(offset)
      const second = await target.patch(url, offset, bytes.subarray(offset))
      expect(second.status).toBe(507)
      const reached = Number(second.headers.get('upload-offset'))
      expect(reached).toBeGreaterThanOrEqual(offset)
      await agent.restart()
      rmSync(filler)

      const again = await Target.open({ url: `${agent.url}/v1/uploads`, headers: { Authorization: `Bearer ${TEST_ADMIN_TOKEN}` } })
      const moved = new URL(new URL(url).pathname, agent.url).href
      expect(await again.offset(moved)).toBe(reached)
      const last = await again.patch(moved, reached, bytes.subarray(reached))
      expect(last.status).toBe(204)
      const digest = new Bun.CryptoHasher('sha256').update(bytes).digest('hex')
      expect(await digestOfImage(agent, last.headers.get('content-location') ?? '')).toBe(`sha256:${digest}`)
      await agent.kill()
      expect(await agentCommand(scene.folder.path, ['scrub'])).toMatchObject({ exitCode: 0 })
    },
    180_000,
  )

  mountTest(
    'does not end an upload by tus-js-client, which resumes by itself',
    async () => {
      await using scene = await openScene()
      const { agent, folder, filler } = scene
      const path = folder.file('noise.raw')
      const digest = await makeNoiseFile(path, LENGTH, 1)
      await using proxy = await createCuttingProxy(Number(new URL(agent.url).port))
      proxy.holdAt(SENT_BEFORE)
      await using upload = startTusUpload({ url: proxy.url, file: path, metadata: { name: 'full' } })
      await until('the upload is in full flow', () => proxy.bytes.up >= SENT_BEFORE)
      fillDisk(filler)
      proxy.holdAt(Number.POSITIVE_INFINITY)
      await until('the client has received 507', () => upload.answers.some(({ method, status }) => method === 'PATCH' && status === 507))
      const told = upload.answers.length
      await until('the client asks for the offset', () => upload.answers.slice(told).some(({ method, status }) => method === 'HEAD' && status === 200))
      rmSync(filler)
      expect(await digestOfImage(agent, await upload.image())).toBe(digest)
      const heads = upload.answers.flatMap(({ method, status, offset }) => (method === 'HEAD' && status === 200 ? [offset ?? 0] : []))
      expect(heads.toSorted((a, b) => a - b)).toEqual(heads)
    },
    180_000,
  )
})
