// Pull-through: an image that only the origin has is read at the edge, once over the line however many readers, and kept.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { addImage, contentOf, startHubAndEdge } from '../../support/agents/hub-and-edge.ts'
import type { HubAndEdge } from '../../support/agents/hub-and-edge.ts'
import { createAgentClient } from '../../../protocol/client/client.ts'
import { seededBytes } from '../../support/images/image-store.ts'
import { until } from '../../support/until.ts'

setDefaultTimeout(90_000)

const LENGTH = 24_000_000
const BYTES = Buffer.from(seededBytes(LENGTH, 9))
/** Headers, lists of digests, frames and probes, for an image of LENGTH. */
const OVERHEAD = 500_000

const untilKept = ({ edge }: HubAndEdge, id: string): Promise<unknown> =>
  until('the image is kept', async () => (await edge.client.tasks.list({ limit: 1 })) && (await listed(edge.client)).includes(id))

async function listed(client: HubAndEdge['edge']['client']): Promise<string[]> {
  return (await client.images.list({ status: 'available' })).items.map(({ id }) => id)
}

async function problemOf(response: Promise<Response>): Promise<[number, string]> {
  const answer = await response
  return [answer.status, ((await answer.json()) as { type: string }).type.replace('urn:slipway:problem:', '')]
}

test('many readers, with ranges too, share one copy over the line, and the image is kept and served while the origin is down', async () => {
  await using pair = await startHubAndEdge({ config: '[transfer]\ndownload-concurrency = 4' })
  const { hub, edge, line } = pair
  const id = await addImage(hub, BYTES)
  const there = await hub.client.images.get(id)
  const before = line.bytes.down

  // Metadata, HEAD and the manifest move no content.
  expect(await edge.client.images.get(id)).toMatchObject({ id, name: 'debian', status: 'available', digest: there.digest, source: { kind: 'sync' } })
  const head = await fetch(`${edge.url}/v1/images/${id}/content`, { method: 'HEAD', headers: edge.headers() })
  expect([head.status, head.headers.get('content-length'), head.headers.get('etag')]).toEqual([200, String(LENGTH), `"${there.manifestDigest}"`])
  const manifest = await fetch(`${edge.url}/v1/images/${id}/manifest`, { headers: edge.headers() })
  expect(
    Buffer.from(await manifest.arrayBuffer()).equals(
      Buffer.from(await (await fetch(`${hub.url}/v1/images/${id}/manifest`, { headers: hub.headers() })).arrayBuffer()),
    ),
  ).toBe(true)
  expect(line.bytes.down - before).toBeLessThan(OVERHEAD)
  expect(await listed(edge.client)).toEqual([])

  const ranges = [
    [LENGTH - 1_000_000, LENGTH],
    [10_000_001, 13_333_333],
    [5, 6],
  ] as const
  const [wholes, parts] = await Promise.all([
    Promise.all(Array.from({ length: 12 }, (_, i) => contentOf(edge, i % 2 === 0 ? id : (there.digest ?? '')))),
    Promise.all(ranges.map(([from, to]) => contentOf(edge, id, { range: `bytes=${from}-${to - 1}` }))),
  ])
  for (const whole of wholes) expect(Buffer.isBuffer(whole) && whole.equals(BYTES)).toBe(true)
  for (const [i, part] of parts.entries()) expect(Buffer.isBuffer(part) && part.equals(BYTES.subarray(...ranges[i]!))).toBe(true)
  await untilKept(pair, id)
  expect(line.bytes.down - before).toBeLessThan(LENGTH + OVERHEAD)
  expect((await edge.client.files.list('sync')).items).toEqual([])

  await hub.stop()
  expect(await edge.client.images.get(id)).toMatchObject({ id, source: { kind: 'sync', url: line.url } })
  const again = await contentOf(edge, there.manifestDigest ?? '')
  expect(Buffer.isBuffer(again) && again.equals(BYTES)).toBe(true)
  // For something that is not here, the answer is clear and quick.
  const startMs = performance.now()
  const absent = `${edge.url}/v1/images/img_${'0'.repeat(26)}/content`
  await until('the origin is known to be down', async () => (await problemOf(fetch(absent, { headers: edge.headers() })))[1] === 'origin-unreachable')
  expect(await problemOf(fetch(absent, { headers: edge.headers() }))).toEqual([502, 'origin-unreachable'])
  expect(performance.now() - startMs).toBeLessThan(30_000)
})

test('a reader that leaves does not stop the copy, and a purge makes the next read copy again', async () => {
  await using pair = await startHubAndEdge({ config: '[images]\ndeletion = "immediate"' })
  const { hub, edge } = pair
  const id = await addImage(hub, BYTES)
  const leaving = new AbortController()
  const answer = await fetch(`${edge.url}/v1/images/${id}/content`, { headers: edge.headers(), signal: leaving.signal })
  await answer.body?.getReader().read()
  leaving.abort()
  await untilKept(pair, id)
  await edge.client.images.delete(id)
  const content = await contentOf(edge, id)
  expect(Buffer.isBuffer(content) && content.equals(BYTES)).toBe(true)
  await untilKept(pair, id)
})

test('who may read an image here is decided by its owner and grants, and a disabled store copies nothing', async () => {
  await using pair = await startHubAndEdge()
  const { hub, edge, line } = pair
  const id = await addImage(hub, BYTES)
  await hub.client.images.grant(id, 'user:alice')
  // The token of the edge must see the image at the hub.
  const asAlice = await edge.client.tokens.create({ name: 'alice', role: 'viewer', subject: 'alice' })
  const asBob = await edge.client.tokens.create({ name: 'bob', role: 'viewer', subject: 'bob' })
  const read = (token: string): Promise<Response> =>
    fetch(`${edge.url}/v1/images/${id}/content`, { headers: { authorization: `Bearer ${token}`, range: 'bytes=0-9' } })
  expect(await problemOf(read(asAlice.token))).toEqual([404, 'not-found'])
  await hub.client.images.grant(id, 'group:edges')
  const { token } = await hub.client.tokens.create({ name: 'edge', role: 'viewer', groups: ['edges'] })
  await edge.restart({ config: `[[origins]]\nname = "hub"\nurl = "${line.url}"\ntoken = "${token}"\n` })
  const before = line.bytes.down
  expect(await problemOf(read(asBob.token))).toEqual([404, 'not-found'])
  await edge.client.store.disable('maintenance')
  expect(await problemOf(read(asAlice.token))).toEqual([409, 'store-disabled'])
  expect(line.bytes.down - before).toBeLessThan(OVERHEAD)
  expect(await listed(edge.client)).toEqual([])
  await edge.client.store.enable()
  expect((await read(asAlice.token)).status).toBe(206)
  await untilKept(pair, id)
  expect(await problemOf(read(asBob.token))).toEqual([404, 'not-found'])
})

test('ids that no origin has are asked for once, and stores that are origins of each other do not ask in a circle', async () => {
  await using pair = await startHubAndEdge()
  const { hub, edge, line, config } = pair
  const { token } = await edge.client.tokens.create({ name: 'hub', role: 'viewer' })
  await hub.restart({ config: `[[origins]]\nname = "edge"\nurl = "${edge.url}"\ntoken = "${token}"\n` })
  line.setTarget(Number(new URL(hub.url).port))
  await until('the hub answers', async () => (await edge.client.store.get()).origins?.[0]?.state === 'reachable')
  const id = `img_${'0'.repeat(26)}`
  expect(await problemOf(fetch(`${edge.url}/v1/images/${id}/content`, { headers: edge.headers() }))).toEqual([404, 'not-found'])
  const before = line.bytes.up
  for (let i = 0; i < 20; i++) expect(await contentOf(edge, id)).toBe(404)
  // A probe may have been sent.
  expect(line.bytes.up - before).toBeLessThan(2000)
  expect(config).toContain('[[origins]]')
  expect(await contentOf(edge, 'debian')).toBe(404)
  const onlyHere = createAgentClient({ baseUrl: edge.url, token })
  expect((await onlyHere.store.get()).origins).toHaveLength(1)
})
