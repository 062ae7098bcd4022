// Evidence of a store that has every secret: what the archive holds, and that no secret is in any of its bytes.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { gunzipSync } from 'node:zlib'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { addImage } from '../../support/agents/hub-and-edge.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

const ORIGIN_TOKEN = 'origin-token-0123456789abcdef'
const PASSWORD = 'hunter2-of-the-mirror'
const PASSPHRASE = 'passphrase-of-the-key'
const KEY_BYTES = 'b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAA'
const QUERY = 'X-Amz-Signature=0badc0ffee'
const FILES = [
  ...['README.txt', 'config.json', 'events.jsonl', 'health.json', 'index.json', 'log.jsonl', 'metrics.txt', 'mount.json', 'quarantine.json', 'schedules.json'],
  ...['state-files.json', 'state.json', 'store.json', 'tasks.jsonl', 'uploads.json', 'versions.json'],
]

let folder: TemporaryFolder
let agent: AgentProcess
const secrets: string[] = [TEST_ADMIN_TOKEN, ORIGIN_TOKEN, PASSWORD, PASSPHRASE, KEY_BYTES, '0badc0ffee']

beforeAll(async () => {
  folder = await createTemporaryFolder()
  const config = `[[origins]]\nname = "hub"\nurl = "http://127.0.0.1:1"\ntoken = "${ORIGIN_TOKEN}"\n[imports]\nallow = ["127.0.0.1"]\n`
  agent = await startAgent(folder.path, { config })
  const image = await addImage(agent, new Uint8Array(100_000).fill(7))
  const viewer = await agent.client.tokens.create({ name: 'the viewer', role: 'viewer' })
  const link = await agent.client.links.create({ kind: 'download', image, ttlSeconds: 600 })
  const signed = new URL(link.url, agent.url)
  const grant = await agent.client.syncGrants.create({ images: [image], hours: 1 })
  secrets.push(viewer.token, grant.token, signed.searchParams.get('link') ?? 'a link without its parameter')
  expect((await fetch(new URL(signed.pathname + signed.search, agent.url))).status).toBe(200)
  const privateKey = `-----BEGIN OPENSSH PRIVATE KEY-----\n${KEY_BYTES}\n-----END OPENSSH PRIVATE KEY-----\n`
  // The first one waits for a server that does not answer, and the second one has failed or waits for the first.
  await agent.client.images.import({ name: 'gone', source: { url: `http://127.0.0.1:1/x.raw?${QUERY}`, username: 'ann', password: PASSWORD } })
  await agent.client.images.import({ name: 'gone-too', source: { url: 'sftp://127.0.0.1:1/x.raw', username: 'ann', privateKey, passphrase: PASSPHRASE } })
})

afterAll(async () => {
  await agent[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

async function fetchEvidence(): Promise<{ readonly bytes: Buffer<ArrayBuffer>; readonly files: ReadonlyMap<string, string>; readonly response: Response }> {
  const response = await fetch(`${agent.url}/v1/evidence`, { headers: agent.headers() })
  const bytes = Buffer.from(await response.arrayBuffer())
  const listed = await new Bun.Archive(bytes).files()
  const entries = await Promise.all([...listed].map(async ([path, file]) => [path.replace('slipway-evidence-test/', ''), await file.text()] as const))
  return { bytes, files: new Map(entries), response }
}

describe('evidence of an agent', () => {
  test('has every part, with what is known', async () => {
    const { response, files } = await fetchEvidence()
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/gzip'])
    expect(response.headers.get('content-disposition')).toMatch(/^attachment; filename="slipway-evidence-test-[\dTZ-]+\.tar\.gz"$/)
    expect([...files.keys()].toSorted()).toEqual(FILES.toSorted())
    const json = (name: string): Record<string, unknown> => JSON.parse(files.get(name) ?? '') as Record<string, unknown>
    expect(json('health.json')).toMatchObject({ state: expect.any(String) as string })
    expect(json('store.json')).toMatchObject({ name: 'test' })
    expect(json('config.json')).toMatchObject({ origins: [{ name: 'hub', url: 'http://127.0.0.1:1', hasToken: true }], process: { hasAdminToken: true } })
    expect(json('versions.json')).toMatchObject({ bun: '1.4.5' })
    expect(json('mount.json')).toMatchObject({ path: `${folder.path}/store`, totalBytes: expect.any(Number) as number })
    expect((json('state-files.json')['files'] as { name: string }[]).map(({ name }) => name)).toContain('agent.db')
    expect(files.get('log.jsonl')).toContain('"msg":"serving"')
    expect(
      files
        .get('events.jsonl')
        ?.split('\n')
        .map((line) => (line === '' ? '' : (JSON.parse(line) as { type: string }).type)),
    ).toContain('image.available')
    expect(files.get('tasks.jsonl')).toContain('"kind":"import"')
    expect(files.get('metrics.txt')).toContain('slipway_build_info')
    expect(files.get('README.txt')).not.toContain('missing:')
  })

  test('has no secret in any byte', async () => {
    const { bytes } = await fetchEvidence()
    const text = gunzipSync(bytes).toString('latin1')
    expect(secrets.filter((secret) => secret.length < 8)).toEqual([])
    for (const secret of secrets) {
      expect(text.includes(secret)).toBe(false)
      expect(text.includes(Buffer.from(secret).toString('base64').slice(0, -3))).toBe(false)
      expect(bytes.includes(secret)).toBe(false)
    }
  })

  test('is an event that names who asked, and is open to operators', async () => {
    const operator = await agent.client.tokens.create({ name: 'night shift', role: 'operator' })
    const uploader = await agent.client.tokens.create({ name: 'pipeline', role: 'uploader' })
    const ask = (token: string): Promise<Response> => fetch(`${agent.url}/v1/evidence`, { headers: { authorization: `Bearer ${token}` } })
    expect((await ask(uploader.token)).status).toBe(403)
    expect((await ask(operator.token)).status).toBe(200)
    const event = await until('there is the event of the operator', async () => {
      const { items } = await agent.client.events.list({ type: 'store.evidence', limit: 10 })
      return items.find(({ actor }) => actor === 'night shift')
    })
    expect(event.message).toBe('night shift collected the evidence of the store.')
  })
})
