// A target that has one image, for attacks on its reads and conversions.

import { expect } from 'bun:test'
import { createRandom } from '../support/properties.ts'
import { until } from '../support/until.ts'
import { openTarget } from './attack.ts'
import type { Attacker, AttackTarget } from './attack.ts'
import { createUpload, patchUpload } from './requests.ts'

/** Starts an agent with an image `large` of this many random bytes, which eight clients may read at the same time. */
export async function openTargetWithImage(length: number): Promise<AttackTarget> {
  const target = await openTarget('[transfer]\ndownload-concurrency = 8\n')
  const admin: Attacker = { url: target.agent.url, index: 0, headers: (_, more) => target.agent.headers(more), signal: new AbortController().signal }
  const { address } = await createUpload(admin, { 'upload-length': String(length), 'upload-metadata': `name ${btoa('large')}` })
  expect(await patchUpload(admin, address, 0, new Uint8Array(createRandom(3).bytes(length)))).toBe(204)
  await until('the image is available', async () => (await target.agent.client.images.get('large')).status === 'available')
  return target
}
