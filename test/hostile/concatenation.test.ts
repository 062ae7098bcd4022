// A part of 200,000 slice references (10 MB on the wire), named as often as a header allows: its cost in memory, on disk and at the next
// start is bounded.

import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { CONCAT_REPEATS_MAX } from '../../agent/uploads/concatenation.ts'
import { encodeEndFrame, encodeReferenceFrame } from '../../protocol/slices/frames.ts'
import { manifestLength } from '../../protocol/slices/manifest.ts'
import { startAgent } from '../support/agents/agent-process.ts'
import type { AgentProcess } from '../support/agents/agent-process.ts'
import { createRandom } from '../support/properties.ts'
import { bytesBelow } from '../support/machine/folder-stats.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import { until } from '../support/until.ts'

const MIB = 1024 * 1024
const SLICE_BYTES = 8192
const REFERENCES = 200_000
/** As many as fit into a header block of 16 KiB. */
const NAMED_TIMES = 340
const ENTRIES = REFERENCES * CONCAT_REPEATS_MAX
/** Most memory above that before the attack: the manifest that inspection reads, and garbage that is not collected yet. */
const MEMORY_BYTES_MAX = 3 * manifestLength(ENTRIES) + 256 * MIB
/** Journals of part and final upload, and the manifest. */
const DISK_BYTES_MAX = 36 * (REFERENCES + ENTRIES) + manifestLength(ENTRIES) + 64 * MIB

const TUS = { 'Tus-Resumable': '1.0.0' }
const OFFSET = { 'Content-Type': 'application/offset+octet-stream' }

const send = (agent: AgentProcess, method: string, path: string, headers: Record<string, string>, body?: Uint8Array<ArrayBuffer>): Promise<Response> =>
  fetch(`${agent.url}${path}`, { method, headers: agent.headers({ ...TUS, ...headers }), ...(body && { body }) })

/** Returns the highest resident memory of a process, in bytes. */
const memoryPeak = (pid: number): number => Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024

test('too many references are refused, and the most that are allowed cost bounded memory and disk', async () => {
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path)
  const slice = new Uint8Array(createRandom(1).bytes(SLICE_BYTES))
  const image = await send(agent, 'POST', '/v1/uploads', { ...OFFSET, 'Upload-Length': String(SLICE_BYTES) }, slice)
  expect(image.status).toBe(201)
  const created = await send(agent, 'POST', '/v1/uploads', { 'Upload-Concat': 'partial', 'Upload-Length': String(REFERENCES * SLICE_BYTES) })
  const part = created.headers.get('location') ?? ''
  const frame = encodeReferenceFrame(new Uint8Array(await crypto.subtle.digest('SHA-256', slice)), SLICE_BYTES)
  const frames = new Uint8Array(Buffer.concat([...Array.from({ length: REFERENCES }, () => frame), encodeEndFrame()]))
  const brought = await send(agent, 'PATCH', part, { 'Content-Type': 'application/vnd.slipway.slices', 'Upload-Offset': '0' }, frames)
  expect(brought.status).toBe(204)

  const memoryBefore = memoryPeak(agent.pid)
  const diskBefore = bytesBelow(folder.path)
  const concatenate = (times: number) => send(agent, 'POST', '/v1/uploads', { 'Upload-Concat': `final;${Array.from({ length: times }, () => part).join(' ')}` })
  const refused = await concatenate(NAMED_TIMES)
  expect([refused.status, await refused.json()]).toMatchObject([400, { type: 'urn:slipway:problem:invalid-input' }])
  expect(bytesBelow(folder.path) - diskBefore).toBeLessThan(MIB)

  const whole = await concatenate(CONCAT_REPEATS_MAX)
  expect(whole.status).toBe(201)
  const imageId = (whole.headers.get('content-location') ?? '').split('/').at(-1) ?? ''
  const settled = () =>
    until('the image is inspected', async () => {
      const { status } = await agent.client.images.get(imageId)
      return status === 'creating' ? undefined : status
    })
  expect(await settled()).toBe('available')
  expect(memoryPeak(agent.pid) - memoryBefore).toBeLessThan(MEMORY_BYTES_MAX)
  expect(bytesBelow(folder.path) - diskBefore).toBeLessThan(DISK_BYTES_MAX)

  await agent.restart()
  expect(await settled()).toBe('available')
  expect((await agent.client.images.get(imageId)).length).toBe(ENTRIES * SLICE_BYTES)
}, 120_000)
