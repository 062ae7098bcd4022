// The examination of a new image: its declared digest is compared with the digest of its bytes before anybody may read it.

import { describe, expect, test } from 'bun:test'
import { openImageStore } from '../../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

/** 1 MiB of zeros, and its SHA-256 as sha256sum gives it. */
const ZEROS = new Uint8Array(1024 * 1024)
const DIGEST = 'sha256:30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58'
const OTHER = 'sha256:30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb59'

describe('an image with a declared digest', () => {
  test('is available with it if its bytes have it', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    expect(await store.add(ZEROS, { name: 'zeros', digest: DIGEST })).toMatchObject({ status: 'available', digest: DIGEST, statusReason: null, storedSize: 0 })
  })

  test('is refused if its bytes have another, and says both', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const image = await store.add(ZEROS, { name: 'zeros', digest: OTHER })
    expect(image).toMatchObject({ status: 'error', digest: DIGEST, availableAt: null, formatDetails: { refusal: 'digest-mismatch' } })
    expect(image.statusReason).toStartWith(`Digest mismatch: expected ${OTHER}, but the received bytes have ${DIGEST}. `)
  })

  test('whose format is refused is refused for that, and nothing is hashed for it', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const image = await store.add(ZEROS, { name: 'zeros', digest: OTHER, format: 'qcow2' })
    expect(image).toMatchObject({ status: 'error', formatDetails: { refusal: 'format-mismatch' } })
  })
})
