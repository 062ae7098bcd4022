// A sparse image of a terabyte, whose declared digest takes minutes to verify, delays neither other images nor the shutdown of the agent.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { newId } from '../../../protocol/ids.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

setDefaultTimeout(60_000)

const LENGTH = 1024 ** 4
const DIGEST = `sha256:${'0'.repeat(64)}`

test('an image of a terabyte of zeros does not delay other verifications', async () => {
  await using folder = await createTemporaryFolder()
  const sparse = newId('img', Date.now())
  {
    await using store = await openImageStore(folder)
    const blocks = async function* () {
      yield [{ length: LENGTH, digest: null }]
    }
    const source = { kind: 'upload', uploadId: null, storeId: null, url: null, filename: null, device: null } as const
    await store.catalogue.publish({ id: sparse, draft: { name: 'sparse', description: '', digest: DIGEST }, source }, { blocks, length: LENGTH })
    const bytes = seededBytes(5_000_000, 1)
    const digest = `sha256:${new Bun.CryptoHasher('sha256').update(bytes).digest('hex')}`
    const { id } = await store.publish(bytes, { name: 'short', digest })
    await until('the short image is available', () => store.catalogue.need(id).status === 'available')
    expect(store.catalogue.need(sparse).status).toBe('creating')
  }
  // The store was closed while the zeros were being hashed. The next start verifies the image again.
  await using store = await openImageStore(folder)
  expect(store.catalogue.need(sparse).status).toBe('creating')
})
