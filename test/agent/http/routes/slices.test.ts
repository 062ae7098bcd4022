// Slices over HTTP while images come and go.

import { expect, test } from 'bun:test'
import { formatDigest } from '../../../../protocol/slices/digest.ts'
import { decodeAnswerFrames, decodeFrames } from '../../../../protocol/slices/frames.ts'
import { openImageStore, seededBytes } from '../../../support/images/image-store.ts'
import { serveImages } from '../../../support/agents/image-server.ts'
import { manifestOf } from '../../../support/images/whole-manifest.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

test('a fetch in progress completes, and the next one is refused', async () => {
  await using folder = await createTemporaryFolder()
  await using store = await openImageStore(folder)
  await using server = await serveImages(store)
  const image = await store.add(seededBytes(40_000_000, 1))
  const manifest = await manifestOf(store.catalogue, image.id)
  const digests = Array.from({ length: manifest.count }, (_value, i) => formatDigest(manifest.digestAt(i)))
  const ask = () =>
    fetch(`${server.url}/v1/slices/fetch`, {
      method: 'POST',
      headers: { authorization: 'Bearer viewer', 'content-type': 'application/json' },
      body: JSON.stringify({ digests }),
    })
  const answer = await ask()
  expect(answer.status).toBe(200)
  let count = 0
  for await (const _frame of decodeFrames(answer.body as AsyncIterable<Uint8Array>)) {
    if (count === 0) await server.client.images.delete(image.id)
    count++
  }
  expect(count).toBe(digests.length)
  const refused = await ask()
  expect(refused.status).toBe(404)
  expect(await refused.json()).toMatchObject({ type: 'urn:slipway:problem:not-found', missing: digests.slice(0, 10) })
})

test('a fetch with `absent` sends the slices that are here, and a frame without bytes for each other one', async () => {
  await using folder = await createTemporaryFolder()
  await using store = await openImageStore(folder)
  await using server = await serveImages(store)
  const image = await store.add(seededBytes(2_000_000, 1))
  const manifest = await manifestOf(store.catalogue, image.id)
  const unknown = `sha256:${'7'.repeat(64)}`
  const here = [0, 1, 2].map((i) => formatDigest(manifest.digestAt(i)))
  const digests = [unknown, here[0], unknown, unknown, here[1], here[2], unknown]
  const answer = await fetch(`${server.url}/v1/slices/fetch`, {
    method: 'POST',
    headers: { authorization: 'Bearer viewer', 'content-type': 'application/json' },
    body: JSON.stringify({ digests, absent: true }),
  })
  expect(answer.status).toBe(200)
  const frames: string[] = []
  for await (const frame of decodeAnswerFrames(answer.body as AsyncIterable<Uint8Array>))
    frames.push(frame.kind === 'slice' ? formatDigest(frame.frame.digest) : `absent ${formatDigest(frame.digest)}`)
  expect(frames).toEqual(digests.map((digest) => (digest === unknown ? `absent ${unknown}` : (digest ?? ''))))
})
