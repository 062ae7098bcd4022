// Requests by digest: the most digests allowed, all unknown, all the same, or all hidden.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { SLICES_PER_REQUEST_MAX } from '../../protocol/slices/frames.ts'
import { createRandom } from '../support/properties.ts'
import { until } from '../support/until.ts'
import { fetchManifest } from '../support/images/whole-manifest.ts'
import { expectHarmless } from './expect-harmless.ts'
import { createUpload, patchUpload } from './requests.ts'
import { openTarget } from './attack.ts'
import type { Attacker, AttackTarget } from './attack.ts'

const MIB = 1024 * 1024

describe('requests by digest', () => {
  let target: AttackTarget
  let known = ''
  const random = createRandom(1)
  beforeAll(async () => {
    target = await openTarget('[transfer]\ndownload-concurrency = 8\n')
    const admin: Attacker = { url: target.agent.url, index: 0, headers: (_, more) => target.agent.headers(more), signal: new AbortController().signal }
    const bytes = random.bytes(4 * MIB)
    const { address } = await createUpload(admin, { 'upload-length': String(bytes.byteLength), 'upload-metadata': `name ${btoa('known')}` })
    expect(await patchUpload(admin, address, 0, new Uint8Array(bytes))).toBe(204)
    await until('the image is available', async () => (await target.agent.client.images.get('known')).status === 'available')
    const manifest = await fetchManifest(target.agent.client, 'known')
    known = `sha256:${Buffer.from(manifest.digestAt(0)).toString('hex')}`
  })
  afterAll(() => target[Symbol.asyncDispose]())

  const ask = async ({ url, headers }: Attacker, path: string, digests: readonly string[]): Promise<{ status: number; bytes: number }> => {
    const response = await fetch(url + path, {
      method: 'POST',
      headers: headers('viewer', { 'content-type': 'application/json' }),
      body: JSON.stringify({ digests }),
    })
    const bytes = (await response.arrayBuffer()).byteLength
    return { status: response.status, bytes }
  }
  const unknown = (): string[] => Array.from({ length: SLICES_PER_REQUEST_MAX }, () => `sha256:${random.bytes(32).toString('hex')}`)

  test('for slices that no store has', async () => {
    await expectHarmless(target, 'slices missing', async (attacker) => {
      expect((await ask(attacker, '/v1/slices/missing', unknown())).status).toBe(200)
      // 503 while the uploads of the other clients are being indexed.
      const status = await until('the images are indexed', async () => {
        const answer = await ask(attacker, '/v1/slices/fetch', unknown())
        return answer.status === 503 ? undefined : answer.status
      })
      expect(status).toBe(404)
    })
  })

  test('for one slice, as often as a list allows', async () => {
    await expectHarmless(target, 'slices fetch', async (attacker) => {
      const { status } = await ask(
        attacker,
        '/v1/slices/fetch',
        Array.from({ length: SLICES_PER_REQUEST_MAX }, () => known),
      )
      expect([200, 400]).toContain(status)
    })
  })

  test('with one digest too many are refused', async () => {
    const digests = [...unknown(), known]
    await expectHarmless(target, 'slices missing', async (attacker) => {
      for (const path of ['/v1/slices/missing', '/v1/slices/fetch']) expect((await ask(attacker, path, digests)).status).toBe(400)
    })
  })
})
