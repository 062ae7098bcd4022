// Kills an agent at every crash point. Afterwards the store opens, scrub finds no damage, everything acknowledged is present,
// and new images are accepted. A crash point without a scenario fails the suite.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { CODEC_RAW, encodeEndFrame, encodeFrameHeader, encodeReferenceFrame } from '../../protocol/slices/frames.ts'
import { manifestEntries } from '../../protocol/slices/manifest.ts'
import { reconcileResultSchema } from '../../protocol/reconcile.ts'
import { uploadIdOf } from '../../protocol/client/upload-client.ts'
import { agentCommand } from '../support/agents/agent-command.ts'
import { createAgentClient } from '../../protocol/client/client.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../support/agents/agent-process.ts'
import type { AgentProcess } from '../support/agents/agent-process.ts'
import { Ledger } from '../support/agents/ledger.ts'
import type { LedgerImage, LedgerUpload } from '../support/agents/ledger.ts'
import { createRandom } from '../support/properties.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../support/machine/temporary-folder.ts'
import { until } from '../support/until.ts'
import { fetchManifest } from '../support/images/whole-manifest.ts'

const MIB = 1024 * 1024
const IMMEDIATE = '[images]\ndeletion = "immediate"\n'
/** More than the length at which a pack is sealed. */
const PACK_BYTES = 130 * MIB
const SLICE_BYTES = 64 * 1024

/** An image, and the compressed file that is uploaded for it. */
const UNPACKED = new Uint8Array(createRandom(31).bytes(70 * MIB))
const COMPRESSED = new Uint8Array(gzipSync(UNPACKED, { level: 1 }))

/** Returns bytes that do not compress, the same for the same seed. */
const noise = (length: number, seed: number): Uint8Array<ArrayBuffer> => new Uint8Array(createRandom(seed).bytes(length))

/** A store with an image that is kept, an image to be deleted that fills most of the pack, and a half-finished upload. */
interface Stage {
  readonly agent: AgentProcess
  readonly ledger: Ledger
  readonly going: LedgerImage
  readonly open: LedgerUpload
  /** Another store with an image that this one lacks. */
  readonly source: { readonly url: string; readonly imageId: string; readonly bytes: Uint8Array<ArrayBuffer> }
}

interface Scenario {
  readonly config?: string
  /** Makes the agent pass the point; resolves or rejects when the agent is gone. */
  run(stage: Stage): Promise<unknown>
  /** Checks what must hold after the restart in this scenario, in addition to the checks for all. */
  after?(stage: Stage): Promise<unknown>
}

const upload: Scenario = {
  async run({ ledger }) {
    const fresh = await ledger.create(noise(3 * MIB + 5, 11), 'fresh')
    if (fresh) await ledger.send(fresh, 0)
  },
}
/** Sends an image as slices: the first ones as references, because the store has them in another image. */
const uploadSlices: Scenario = {
  async run({ agent, ledger }) {
    const [staying] = ledger.images.values()
    if (!staying) return
    const manifest = await fetchManifest(agent.client, staying.id)
    const known = [...manifestEntries(manifest)].slice(0, 8)
    const knownBytes = known.reduce((sum, { length }) => sum + length, 0)
    const fresh = [noise(SLICE_BYTES, 13), noise(SLICE_BYTES, 14)]
    const made = await ledger.create(new Uint8Array(Buffer.concat([staying.bytes.subarray(0, knownBytes), ...fresh])), 'by slices')
    if (!made) return
    const frames = async function* (): AsyncGenerator<Uint8Array> {
      for (const { digest, length } of known) yield encodeReferenceFrame(digest, length)
      for (const stored of fresh) {
        yield encodeFrameHeader({ digest: Bun.SHA256.hash(stored) as Uint8Array, length: stored.byteLength, codec: CODEC_RAW, stored })
        yield stored
      }
      yield encodeEndFrame()
    }
    await agent.client.uploads.sendSlices(uploadIdOf(`${agent.url}${made.path}`) ?? '', 0, frames())
  },
}
/** Creates one image from two parts, one of which is named twice. */
const concatenate = async ({ agent }: Pick<Stage, 'agent'>): Promise<{ imageId: string; bytes: Uint8Array }> => {
  const parts = [noise(MIB + 4096, 21), noise(MIB, 22)]
  const tus = { 'Tus-Resumable': '1.0.0' }
  const paths: string[] = []
  for (const part of parts) {
    const headers = agent.headers({
      ...tus,
      'Upload-Concat': 'partial',
      'Upload-Length': String(part.byteLength),
      'Content-Type': 'application/offset+octet-stream',
    })
    const made = await fetch(`${agent.url}/v1/uploads`, { method: 'POST', headers, body: part })
    expect(made.status).toBe(201)
    paths.push(made.headers.get('location') ?? '')
  }
  const headers = agent.headers({ ...tus, 'Upload-Concat': `final;${[...paths, paths[0]].join(' ')}`, 'Upload-Metadata': `name ${btoa('of parts')}` })
  const final = await fetch(`${agent.url}/v1/uploads`, { method: 'POST', headers })
  expect(final.status).toBe(201)
  return { imageId: (final.headers.get('content-location') ?? '').split('/').at(-1) ?? '', bytes: Buffer.concat([...parts, parts[0] ?? new Uint8Array(0)]) }
}
const splice: Scenario = {
  run: concatenate,
  async after(stage) {
    const { imageId, bytes } = await concatenate(stage)
    await stage.ledger.verify([stage.ledger.add(imageId, new Uint8Array(bytes))])
    // A final upload that was not acknowledged either becomes an image too, or leaves nothing.
    const { items } = await stage.agent.client.images.list({ name: 'of parts' })
    for (const { id } of items) stage.ledger.add(id, new Uint8Array(bytes))
  },
}
/** Uploads a compressed file, which is published when it is unpacked. */
const unpack: Scenario = {
  async run({ agent }) {
    const headers = agent.headers({
      'Tus-Resumable': '1.0.0',
      'Upload-Length': String(COMPRESSED.byteLength),
      'Upload-Metadata': `name ${btoa('unpacked')},decompress ${btoa('true')}`,
      'Content-Type': 'application/offset+octet-stream',
    })
    await fetch(`${agent.url}/v1/uploads`, { method: 'POST', headers, body: COMPRESSED })
  },
  async after({ agent, ledger }) {
    const { items } = await agent.client.images.list({ name: 'unpacked' })
    expect(items).toHaveLength(1)
    await ledger.verify(items.map(({ id }) => ledger.add(id, UNPACKED)))
    const stored = readdirSync(agent.folder, { recursive: true, encoding: 'utf8' })
    expect(stored.filter((name) => /(?:compressed|unpacked\.tmp)$/.test(name))).toEqual([])
  },
}
/** The image is already published at these points. */
const settling: Scenario = {
  run: ({ ledger, open }) => ledger.finish(open),
}
const fillPack: Scenario = {
  async run({ ledger }) {
    const large = await ledger.create(noise(PACK_BYTES, 12), 'large')
    if (large) await ledger.send(large, 0)
  },
}
/** Renames and hides the media group of an image. */
const hideGroup: Scenario = {
  async run({ agent, going }) {
    await agent.client.images.patch(going.id, { mediaGroup: 'lab' })
    await agent.client.mediaGroups.patch('lab', { name: 'backroom', visible: false })
  },
  async after({ agent, going }) {
    expect((await agent.client.mediaGroups.list()).items).toEqual([{ name: 'backroom', description: '', visible: false, images: 1 }])
    expect(await agent.client.images.get(going.id)).toMatchObject({ mediaGroup: 'backroom', hidden: true })
    const { token } = await agent.client.tokens.create({ name: 'viewer', role: 'viewer' })
    const seen = async () => (await fetch(`${agent.url}/v1/images/${going.id}`, { headers: { authorization: `Bearer ${token}` } })).status
    expect(await seen()).toBe(404)
    await agent.client.mediaGroups.patch('backroom', { visible: true })
    expect(await seen()).toBe(200)
  },
}
const remove: Scenario = { run: ({ ledger, going }) => ledger.delete(going) }
const purge: Scenario = {
  ...remove,
  config: IMMEDIATE,
  async after({ agent, going }) {
    const { items, damagedRecords } = await agent.client.usage()
    expect(items.filter(({ imageId }) => imageId === going.id)).toHaveLength(1)
    expect(damagedRecords).toBe(0)
  },
}
const collect: Scenario = {
  config: IMMEDIATE,
  async run({ ledger, going, agent }) {
    await ledger.delete(going)
    await agent.client.store.cleanup()
  },
  async after({ agent }) {
    const before = (await agent.client.store.get()).slices.storedBytes
    const { result } = await ended(agent, (await agent.client.store.cleanup()).id)
    expect(result?.['purgedCount']).toBe(0)
    expect((await agent.client.store.get()).slices.storedBytes).toBeLessThanOrEqual(before)
  },
}
/** Pauses a sync whose source does not answer. */
const pauseSync: Scenario = {
  async run({ agent }) {
    const { id } = await agent.client.sync({ source: { url: 'http://127.0.0.1:9', token: 'none' }, images: ['elsewhere'] })
    await agent.client.tasks.pause(id)
  },
  async after({ agent }) {
    const { items } = await agent.client.tasks.list({ kind: 'sync' })
    expect(items).toMatchObject([{ state: 'queued', detail: expect.stringContaining('Paused by') }])
    await agent.client.tasks.cancel(items[0]?.id ?? '')
  },
}
const sync: Scenario = {
  run: ({ agent, source }) => agent.client.sync({ source: { url: source.url, token: TEST_ADMIN_TOKEN }, images: [source.imageId] }),
  async after({ agent, ledger, source }) {
    // The task was acknowledged, so it resumes by itself.
    const { items } = await agent.client.tasks.list({ kind: 'sync' })
    const task = await ended(agent, items[0]?.id ?? '')
    expect({ state: task.state, error: task.error }).toEqual({ state: 'succeeded', error: undefined })
    await ledger.verify([ledger.add(source.imageId, source.bytes)])
  },
}

/** Copies an image with a grant for repairs, which is kept at the end of the sync. */
const syncWithGrant: Scenario = {
  async run({ agent, source }) {
    const sourceClient = createAgentClient({ baseUrl: source.url, token: TEST_ADMIN_TOKEN })
    const key = (await agent.client.store.get()).protocol?.key
    const { token } = await sourceClient.syncGrants.create({ images: [source.imageId], targetKey: key, hours: 1, healing: true })
    await agent.client.sync({ source: { url: source.url, token, healing: true }, images: [source.imageId] })
  },
  async after(stage) {
    await sync.after?.(stage)
    expect((await stage.agent.client.store.get()).partners).toMatchObject([{ url: stage.source.url }])
  },
}

/** Damages one slice of a copy whose source is an origin, and reads it, so that the slice is fetched. */
const originOf = ({ source }: Stage): string => `[[origins]]\nname = "elsewhere"\nurl = "${source.url}"\ntoken = "${TEST_ADMIN_TOKEN}"\n`
const heal: Scenario = {
  async run(stage) {
    const { agent, source } = stage
    const { id } = await agent.client.sync({ source: { url: source.url, token: TEST_ADMIN_TOKEN }, images: [source.imageId] })
    await ended(agent, id)
    await agent.restart({ config: originOf(stage), environment: { SLIPWAY_CRASH_POINT: 'heal:slices-stored' } })
    flipStored(agent, source.bytes.subarray(5 * MIB, 5 * MIB + 64))
    await fetch(`${agent.url}/v1/images/${source.imageId}/content`, { headers: agent.headers() }).then((answer) => answer.arrayBuffer())
    await agent.ended()
  },
  async after(stage) {
    const { agent, ledger, source } = stage
    await agent.restart({ config: originOf(stage) })
    await until('the image is available', async () => (await agent.client.images.get(source.imageId)).status === 'available')
    await until('nothing is quarantined', async () => (await agent.client.health()).checks.find(({ name }) => name === 'quarantine')?.state === 'ok')
    ledger.add(source.imageId, source.bytes)
  },
}
/** Reads an image that only the origin has, so that it is copied. */
const readThrough = (point: string): Scenario => ({
  async run(stage) {
    const { agent, source } = stage
    await agent.restart({ config: originOf(stage), environment: { SLIPWAY_CRASH_POINT: point } })
    await fetch(`${agent.url}/v1/images/${source.imageId}/content`, { headers: agent.headers() }).then((answer) => answer.arrayBuffer())
    await agent.ended()
  },
  async after(stage) {
    const { agent, ledger, source } = stage
    await agent.restart({ config: originOf(stage) })
    await until('the content is read', async () => {
      const answer = await fetch(`${agent.url}/v1/images/${source.imageId}/content`, { headers: agent.headers() })
      return Buffer.from(await answer.arrayBuffer()).equals(source.bytes)
    })
    await until('the image is kept', async () => (await agent.client.images.list({ name: 'elsewhere', status: 'available' })).items.length === 1)
    ledger.add(source.imageId, source.bytes)
  },
})
/** Flips a bit of these bytes in the pack that has them as they are. */
function flipStored(agent: AgentProcess, sought: Uint8Array): void {
  const packs = join(agent.folder, 'store/packs')
  for (const name of readdirSync(packs, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.pack'))) {
    const bytes = readFileSync(join(packs, name))
    const at = bytes.indexOf(sought)
    if (at < 0) continue
    bytes[at] = (bytes[at] ?? 0) ^ 1
    return writeFileSync(join(packs, name), bytes)
  }
  throw new Error('no pack has these bytes')
}

/** Puts a file into the inbox, or beside the store, and waits for the crash. */
const INBOX = '[imports]\ninbox-settle = "200ms"\n'
const fromFile = (config: string, place: string, bytes: Uint8Array, count: number): Scenario => ({
  config,
  async run({ agent }) {
    mkdirSync(dirname(join(agent.folder, 'store', place)), { recursive: true })
    writeFileSync(join(agent.folder, 'store', place), bytes)
    await agent.ended()
  },
  async after({ agent, ledger }) {
    await until('the file has left the inbox', () => !existsSync(join(agent.folder, 'store/inbox', basename(place))))
    const imported = async () => (await agent.client.images.list({ name: basename(place) })).items
    const images = await until('it was imported', async () => {
      const found = await imported()
      return found.length >= count && found.every(({ status }) => status === 'available') ? found : undefined
    })
    expect(images.length).toBe(count)
    for (const { id } of images) ledger.add(id, new Uint8Array(bytes))
    await agent.restart({ config })
    expect((await imported()).length).toBe(count)
    const kept = join(agent.folder, 'store/inbox/refused', basename(place).replace('\n', '_'))
    if (count === 0) await until('it was refused', () => existsSync(kept) && readFileSync(kept).equals(bytes))
  },
})
const inbox = fromFile(INBOX, 'inbox/from-inbox.img', noise(3 * MIB, 31), 1)
const refused = fromFile(INBOX, 'inbox/refused\n.img', noise(4096, 32), 0)
const existing = fromFile('[images]\nretrieve-existing = true\n', 'old/found.img', noise(3 * MIB, 33), 1)
/** Imports the image of the other store, whose content is served by http with ranges. */
const importImage: Scenario = {
  config: '[imports]\nallow = ["127.0.0.1"]\n',
  run: ({ agent, source }) =>
    agent.client.images.import({ name: 'imported', source: { url: `${source.url}/v1/images/${source.imageId}/content`, token: TEST_ADMIN_TOKEN } }),
  async after({ agent, ledger, source }) {
    // The task was acknowledged, so it resumes by itself, and makes one image.
    const { items } = await agent.client.tasks.list({ kind: 'import' })
    const task = await ended(agent, items[0]?.id ?? '')
    expect({ state: task.state, error: task.error }).toEqual({ state: 'succeeded', error: undefined })
    expect((await agent.client.images.list({ name: 'imported' })).items.map(({ id }) => id)).toEqual([task.subject])
    await ledger.verify([ledger.add(task.subject, source.bytes)])
  },
}
/** Moves a file that the store does not know to quarantine. */
const reconcile: Scenario = {
  async run({ agent }) {
    const { mount } = await agent.client.store.get()
    await Bun.write(join(mount, 'stray.img'), 'bytes')
    const oldS = Date.now() / 1000 - 90_000
    utimesSync(join(mount, 'stray.img'), oldS, oldS)
    const { result } = await ended(agent, (await agent.client.store.reconcile()).id)
    const { findings } = reconcileResultSchema.parse(result)
    await agent.client.store.reconcile({ apply: findings.map(({ id }) => id) })
    await agent.ended()
  },
  async after({ agent }) {
    // The task was acknowledged, so it resumes, and finds that its action was done.
    const { items } = await agent.client.tasks.list({ kind: 'reconcile' })
    const { result } = await ended(agent, items[0]?.id ?? '')
    expect(result).toMatchObject({ findings: [], applied: [], absent: [expect.any(String)] })
    const { mount } = await agent.client.store.get()
    expect(readdirSync(join(mount, 'quarantine')).filter((name) => name.endsWith('.stray.img'))).toHaveLength(1)
  },
}

/** Exports the image that stays. The exports of a store are its one export, or none. */
const exportOnce: Scenario = {
  async run({ agent, ledger }) {
    const [staying] = ledger.images.values()
    await ended(agent, (await agent.client.images.export(staying?.id ?? '')).id)
  },
  async after({ agent, ledger }) {
    const [staying] = ledger.images.values()
    const { items } = await agent.client.tasks.list({ kind: 'export' })
    for (const { id } of items) expect((await ended(agent, id)).state).toBe('succeeded')
    const before = (await agent.client.exports.list()).items
    // Without a task nothing was acknowledged, and the image can be exported.
    if (before.length === 0) expect(items).toEqual([])
    if (before.length === 0) await ended(agent, (await agent.client.images.export(staying?.id ?? '')).id)
    const [made, ...others] = (await agent.client.exports.list()).items
    expect([made?.state, made?.name, others]).toEqual(['ready', 'staying.raw', []])
    const folder = join(agent.folder, 'store/exports')
    expect(readFileSync(join(folder, made?.name ?? '')).equals(staying?.bytes ?? new Uint8Array(0))).toBe(true)
    expect(readdirSync(folder).toSorted()).toEqual(['.slipway', 'staying.raw'])
    expect(readdirSync(join(folder, '.slipway'))).toEqual([`${made?.id}.json`])
  },
}
const deleteExport: Scenario = {
  async run(stage) {
    await exportOnce.run(stage)
    const [made] = (await stage.agent.client.exports.list()).items
    await stage.agent.client.exports.delete(made?.id ?? '')
  },
  async after({ agent }) {
    expect((await agent.client.exports.list()).items).toEqual([])
    expect(readdirSync(join(agent.folder, 'store/exports'))).toEqual(['.slipway'])
    expect(readdirSync(join(agent.folder, 'store/exports/.slipway'))).toEqual([])
  },
}

/** Headers of an upload in one request, whose length is that of the body. */
const WHOLE = (body: Uint8Array) => ({ 'Tus-Resumable': '1.0.0', 'Upload-Length': String(body.byteLength), 'Content-Type': 'application/offset+octet-stream' })
const LINKED = noise(3 * MIB + 7, 41)
let linkUrl = ''
/** Uploads an image with a link. Afterwards the link either has its image, or creates it. */
const uploadByLink: Scenario = {
  async run({ agent }) {
    linkUrl = (await agent.client.links.create({ kind: 'upload', name: 'linked' })).url
    await fetch(linkUrl, { method: 'POST', headers: WHOLE(LINKED), body: LINKED })
  },
  async after({ agent, ledger }) {
    // The address of the agent is another one after the restart.
    const url = agent.url + new URL(linkUrl).pathname + new URL(linkUrl).search
    const [before] = (await agent.client.links.list()).items
    if (before?.state === 'open') expect((await fetch(url, { method: 'POST', headers: WHOLE(LINKED), body: LINKED })).status).toBe(201)
    const link = await until('the link has its image', async () => (await agent.client.links.list()).items.find(({ state }) => state === 'completed'))
    expect((await agent.client.images.list({ name: 'linked' })).items.map(({ id }) => id)).toEqual([link.imageId ?? 'none'])
    await ledger.verify([ledger.add(link.imageId ?? '', LINKED)])
    expect((await fetch(url, { method: 'POST', headers: WHOLE(LINKED), body: LINKED })).status).toBe(403)
  },
}
/** Revokes a link whose upload has half of its bytes. */
const revokeLink: Scenario = {
  async run({ agent }) {
    const link = await agent.client.links.create({ kind: 'upload', name: 'revoked' })
    linkUrl = link.url
    const half = LINKED.subarray(0, MIB)
    const created = await fetch(link.url, { method: 'POST', headers: { ...WHOLE(half), 'Upload-Length': String(LINKED.byteLength) }, body: half })
    expect(created.headers.get('upload-offset')).toBe(String(MIB))
    await agent.client.links.revoke(link.id)
  },
  async after({ agent }) {
    const [link] = (await agent.client.links.list()).items
    expect(link?.state).toBe('revoked')
    expect((await agent.client.uploads.list()).items.filter(({ id }) => id === link?.uploadId)).toEqual([])
    const url = `${agent.url}/v1/uploads/${link?.uploadId}${new URL(linkUrl).search}`
    expect((await fetch(url, { method: 'HEAD', headers: { 'Tus-Resumable': '1.0.0' } })).status).toBe(403)
  },
}

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'uploads:created': upload,
  'uploads:slices-synced': uploadSlices,
  'uploads:before-journal': upload,
  'uploads:after-journal': upload,
  'uploads:before-splice': splice,
  'uploads:spliced': splice,
  'uploads:before-publish': upload,
  'uploads:after-publish': upload,
  'uploads:before-link-completed': uploadByLink,
  'links:claimed': uploadByLink,
  'links:revoked': revokeLink,
  'packs:appended': upload,
  'packs:synced': upload,
  'packs:sealed': fillPack,
  'packs:created': collect,
  'images:manifest-written': upload,
  'images:image-written': upload,
  'images:inspected': settling,
  'images:digest-written': settling,
  'images:unpack-step': unpack,
  'images:unpack-written': unpack,
  'images:unpacked': unpack,
  'images:groups-written': hideGroup,
  'images:deleted': remove,
  'images:purge-marked': purge,
  'images:purge-manifest-removed': purge,
  'images:purge-removed': purge,
  'usage:recorded': purge,
  'gc:marked': collect,
  'gc:swept': collect,
  'gc:moved': collect,
  'gc:before-remove': collect,
  'gc:removed': collect,
  'exports:recorded': exportOnce,
  'exports:written': exportOnce,
  'exports:name-taken': exportOnce,
  'exports:renamed': exportOnce,
  'exports:ready': exportOnce,
  'exports:delete-marked': deleteExport,
  'exports:file-removed': deleteExport,
  'sync:lease-acquired': sync,
  'sync:batch-synced': sync,
  'sync:slices-moved': sync,
  'sync:adopted': sync,
  'partners:kept': syncWithGrant,
  'heal:slices-stored': heal,
  'through:lease-acquired': readThrough('through:lease-acquired'),
  'through:adopted': readThrough('through:adopted'),
  'inbox:ticket-written': inbox,
  'inbox:set-aside': inbox,
  'inbox:removed': inbox,
  'inbox:reason-written': refused,
  'existing:recorded': existing,
  'imports:declared': importImage,
  'imports:published': importImage,
  'reconcile:applied': reconcile,
  'tasks:kept': sync,
  'tasks:done': sync,
  'tasks:ended': sync,
  'tasks:paused': pauseSync,
}

async function ended(agent: AgentProcess, id: string) {
  return until(`task ${id} has ended`, async () => {
    const task = await agent.client.tasks.get(id)
    return task.endedAt === null ? undefined : task
  })
}

/** Returns the names of all crash points in the agent's code. */
function crashPoints(): string[] {
  const agent = join(import.meta.dir, '../../agent')
  const files = readdirSync(agent, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  const found = files.flatMap((name) => [...readFileSync(join(agent, name), 'utf8').matchAll(/crashPoint\('([^']+)'\)/g)].map(([, point]) => point ?? ''))
  return [...new Set(found)].toSorted()
}

test('every crash point of the code has a scenario, and every scenario has a crash point', () => {
  expect(Object.keys(SCENARIOS).toSorted()).toEqual(crashPoints())
})

describe('killed at', () => {
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

  for (const [point, scenario] of Object.entries(SCENARIOS)) {
    test(`${point}: nothing acknowledged is missing, scrub is clean, the store works`, async () => {
      await using folder = await createTemporaryFolder()
      cpSync(templateFolder.path, folder.path, { recursive: true })
      const options = { config: scenario.config ?? '' }
      await using agent = await startAgent(folder.path, { ...options, environment: { SLIPWAY_CRASH_POINT: point } })
      const ledger = template.copyFor(agent)
      const stage = stageOf(agent, ledger, source)
      // The request that runs into the crash gets no response.
      await scenario.run(stage).catch(() => undefined)
      expect(await agent.ended()).toBe('SIGKILL')

      const scrub = await agentCommand(folder.path, ['scrub'], options)
      expect(scrub).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('0 damaged, 0 missing') })
      await agent.restart(options)
      await ledger.verify()
      await makeImage(ledger, noise(2 * MIB, 77), 'last')
      for (const upload of [...ledger.uploads.values()]) await ledger.finish(upload)
      expect(ledger.uploads.size).toBe(0)
      await scenario.after?.(stage)
      await ledger.verify()
    }, 180_000)
  }
})

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
