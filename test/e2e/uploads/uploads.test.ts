// Uploads to a real agent: conformance on the real slice store, and agents that are killed in the middle of a PATCH.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { CASES, judge } from '../../conformance/tus/run.ts'
import { sampleBytes, Target } from '../../conformance/tus/suite.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

const MIB = 1024 * 1024
const ORIGIN = 'https://console.example'

const targetOf = (agent: AgentProcess): Promise<Target> =>
  Target.open({ url: `${agent.url}/v1/uploads`, headers: { Authorization: `Bearer ${TEST_ADMIN_TOKEN}` }, origin: ORIGIN })

/** Returns the address of an upload after a restart, which changes the port. */
const moved = (agent: AgentProcess, url: string): string => new URL(new URL(url).pathname, agent.url).href

async function content(agent: AgentProcess, imageLocation: string): Promise<Uint8Array> {
  const image = new URL(imageLocation, agent.url).href
  await until('the image is inspected', async () => {
    const { status } = (await (await fetch(image, { headers: agent.headers() })).json()) as { status: string }
    return status === 'available'
  })
  return new Uint8Array(await (await fetch(`${image}/content`, { headers: agent.headers() })).arrayBuffer())
}

describe('tus 1.0.0 by a real agent', () => {
  let folder: TemporaryFolder
  let agent: AgentProcess
  let target: Target

  beforeAll(async () => {
    folder = await createTemporaryFolder()
    agent = await startAgent(folder.path, { config: `[uploads]\norigins = ["${ORIGIN}"]\n` })
    target = await targetOf(agent)
  }, 60_000)
  afterAll(async () => {
    await agent[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })

  for (const one of CASES) {
    test(`row ${one.row}: ${one.name}`, async () => {
      const { outcome, detail } = await judge(target, one)
      expect({ outcome, detail }).toEqual({ outcome: 'passed', detail: '' })
    }, 120_000)
  }
})

describe('a digest of the complete file', () => {
  test('makes an image available only if it matches, by tus and by the draft', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.path)
    const bytes = sampleBytes(3 * MIB)
    const right = `sha-256=:${new Bun.CryptoHasher('sha256').update(bytes).digest('base64')}:`
    const wrong = `sha-256=:${new Bun.CryptoHasher('sha256').update('other').digest('base64')}:`
    const send = (headers: Record<string, string>): Promise<Response> =>
      fetch(`${agent.url}/v1/uploads`, { method: 'POST', headers: agent.headers(headers), body: bytes })
    const protocols: Record<string, string>[] = [
      { 'Upload-Complete': '?1' },
      { 'Tus-Resumable': '1.0.0', 'Upload-Length': String(bytes.byteLength), 'Content-Type': 'application/offset+octet-stream' },
    ]
    for (const protocol of protocols) {
      const good = await send({ ...protocol, 'Repr-Digest': right })
      expect(Buffer.compare(await content(agent, good.headers.get('content-location') ?? ''), bytes)).toBe(0)
      const bad = await send({ ...protocol, 'Repr-Digest': wrong })
      expect(bad.status).toBe(201)
      const id = bad.headers.get('content-location')?.replace('/v1/images/', '') ?? ''
      await until('the image is inspected', async () => (await agent.client.images.get(id)).status === 'error')
      const { statusReason } = await agent.client.images.get(id)
      expect(statusReason).toContain(Buffer.from(right.slice(9, -1), 'base64').toString('hex'))
      expect(statusReason).toContain(Buffer.from(wrong.slice(9, -1), 'base64').toString('hex'))
      expect((await fetch(`${agent.url}/v1/images/${id}/content`, { headers: agent.headers() })).status).toBe(409)
    }
  }, 60_000)
})

describe('an agent that ends in the middle of an upload', () => {
  test('keeps the offsets that HEAD returned after every kill', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.path)
    const bytes = sampleBytes(48 * MIB)
    let target = await targetOf(agent)
    let url = await target.create(bytes.byteLength)
    let offset = 0
    for (let round = 0; round < 6; round++) {
      const end = Math.min(bytes.byteLength, offset + (3 + 2 * round) * MIB + 17)
      const sent = bytes.subarray(offset, end)
      const wire = await target.beginPatch(url, offset, bytes.byteLength - offset, sent)
      let told = offset
      if (round % 2 === 0) {
        told = await target.offset(url)
        expect(told).toBe(end)
      }
      await agent.restart()
      wire.cut()
      target = await targetOf(agent)
      url = moved(agent, url)
      offset = await target.offset(url)
      expect(offset).toBeGreaterThanOrEqual(told)
      expect(offset).toBeLessThanOrEqual(end)
    }
    const last = await target.patch(url, offset, bytes.subarray(offset))
    expect(last.status).toBe(204)
    expect(Buffer.compare(await content(agent, last.headers.get('content-location') ?? ''), bytes)).toBe(0)
  }, 120_000)

  for (const point of ['uploads:created', 'uploads:before-journal', 'uploads:after-journal', 'uploads:before-publish', 'uploads:after-publish']) {
    test(`killed at ${point} it loses nothing and publishes once`, async () => {
      await using folder = await createTemporaryFolder()
      await using agent = await startAgent(folder.path)
      const bytes = sampleBytes(5 * MIB + 1)
      let target = await targetOf(agent)
      let url = await target.create(bytes.byteLength)
      expect((await target.patch(url, 0, bytes.subarray(0, MIB))).status).toBe(204)
      await agent.restart({ environment: { SLIPWAY_CRASH_POINT: point } })
      target = await targetOf(agent)
      url = moved(agent, url)
      if (point === 'uploads:created') await target.create(10).catch(() => '')
      else await target.patch(url, MIB, bytes.subarray(MIB)).catch(() => undefined)
      expect(await agent.ended()).toBe('SIGKILL')
      await agent.restart({})
      target = await targetOf(agent)
      url = moved(agent, url)
      const offset = await target.offset(url)
      expect(offset).toBeGreaterThanOrEqual(MIB)
      const last = await target.patch(url, offset, bytes.subarray(offset))
      expect(last.status).toBe(204)
      expect(Buffer.compare(await content(agent, last.headers.get('content-location') ?? ''), bytes)).toBe(0)
      // The creation of an upload may have been durable without being answered.
      const { items } = (await (await fetch(`${agent.url}/v1/images`, { headers: agent.headers() })).json()) as { items: { status: string }[] }
      expect(items.filter(({ status }) => status !== 'uploading' && status !== 'pending')).toHaveLength(1)
    }, 60_000)
  }
})
