// Crashes while images are uploaded: in one request, as slices, of parts, compressed, and with a link.

import { expect } from 'bun:test'
import { readdirSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { uploadIdOf } from '../../../protocol/client/upload-client.ts'
import { CODEC_RAW, encodeEndFrame, encodeFrameHeader, encodeReferenceFrame } from '../../../protocol/slices/frames.ts'
import { manifestEntries } from '../../../protocol/slices/manifest.ts'
import { fetchManifest } from '../../support/images/whole-manifest.ts'
import { createRandom } from '../../support/properties.ts'
import { until } from '../../support/until.ts'
import { MIB, noise } from './stage.ts'
import type { Scenario, Stage } from './stage.ts'

/** More than the length at which a pack is sealed. */
const PACK_BYTES = 130 * MIB
const SLICE_BYTES = 64 * 1024

/** An image, and the compressed file that is uploaded for it. */
const UNPACKED = new Uint8Array(createRandom(31).bytes(70 * MIB))
const COMPRESSED = new Uint8Array(gzipSync(UNPACKED, { level: 1 }))

export const upload: Scenario = {
  async run({ ledger }) {
    const fresh = await ledger.create(noise(3 * MIB + 5, 11), 'fresh')
    if (fresh) await ledger.send(fresh, 0)
  },
}
/** Sends an image as slices: the first ones as references, because the store has them in another image. */
export const uploadSlices: Scenario = {
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
export const splice: Scenario = {
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
export const unpack: Scenario = {
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
export const settling: Scenario = {
  run: ({ ledger, open }) => ledger.finish(open),
}
export const fillPack: Scenario = {
  async run({ ledger }) {
    const large = await ledger.create(noise(PACK_BYTES, 12), 'large')
    if (large) await ledger.send(large, 0)
  },
}

/** Headers of an upload in one request, whose length is that of the body. */
const WHOLE = (body: Uint8Array) => ({ 'Tus-Resumable': '1.0.0', 'Upload-Length': String(body.byteLength), 'Content-Type': 'application/offset+octet-stream' })
const LINKED = noise(3 * MIB + 7, 41)
let linkUrl = ''
/** Uploads an image with a link. Afterwards the link either has its image, or creates it. */
export const uploadByLink: Scenario = {
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
export const revokeLink: Scenario = {
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
