// The bytes of an image.json: as docs/format.md has them, and refused whatever was changed.

import { describe, expect, test } from 'bun:test'
import { blankImage, decodeImageFile, encodeImageFile, newLife } from '../../../../agent/images/records/image-file.ts'

const ID = 'img_01jd0abcdefghjkmnpqrstvwxy'
const BLANK = {
  id: ID,
  name: ID,
  description: '',
  kind: 'disk',
  format: null,
  formatDetails: null,
  status: 'creating',
  statusReason: null,
  digest: null,
  manifestDigest: null,
  length: 0,
  virtualSize: null,
  storedSize: null,
  uniqueSize: null,
  os: null,
  cloudInit: null,
  requirements: null,
  mediaGroup: null,
  hidden: false,
  owner: null,
  labels: {},
  sourceInstance: null,
  source: { kind: 'existing', uploadId: null, storeId: null, url: null, filename: null, device: null },
  protected: false,
  bindings: [],
  grants: [],
  createdAt: '2026-01-02T03:04:05.000Z',
  availableAt: null,
  deletedAt: null,
  expiresAt: null,
}
const LIFE = {
  declared: { digest: null, format: null, kind: null, mayBeInstallation: true },
  compressed: null,
  before: null,
  damage: null,
  damagedAtMs: 0,
  digestClaimed: false,
  usage: null,
}
const image = blankImage({ id: ID }, Date.UTC(2026, 0, 2, 3, 4, 5))

/** Returns a file with this image and the right digest of it. */
function fileOf(json: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`{"format":1,"digest":"sha256:${Bun.SHA256.hash(json, 'hex')}","image":${json}}\n`)
}

async function reasonOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const decoded = await decodeImageFile(bytes)
  return decoded.kind === 'damaged' ? decoded.reason : 'whole'
}

test('a blank image has nothing but its id, and takes what is known', () => {
  expect(image as unknown).toEqual(BLANK)
  expect(blankImage({ id: ID, name: 'debian', status: 'available', length: 7 }, 0)).toMatchObject({
    name: 'debian',
    status: 'available',
    length: 7,
    createdAt: '1970-01-01T00:00:00.000Z',
  })
  expect(newLife() as unknown).toEqual(LIFE)
  expect(newLife({ damagedAtMs: 5, digestClaimed: true }) as unknown).toEqual({ ...LIFE, damagedAtMs: 5, digestClaimed: true })
})

describe('an image.json', () => {
  test('has its digest in front, and no member that follows from others', async () => {
    const bytes = await encodeImageFile({ image, life: newLife() })
    const { hidden: _hidden, ...own } = BLANK
    const value = JSON.stringify({ ...own, life: LIFE })
    expect(JSON.parse(new TextDecoder().decode(bytes))).toEqual({ format: 1, digest: `sha256:${Bun.SHA256.hash(value, 'hex')}`, image: JSON.parse(value) })
    expect(Buffer.from(bytes).equals(fileOf(value))).toBe(true)
    expect(await decodeImageFile(bytes)).toEqual({ kind: 'whole', stored: { image, life: newLife() } })
  })

  test('is refused cut off anywhere, longer, and with any byte changed', async () => {
    const bytes = await encodeImageFile({ image, life: newLife() })
    for (let end = 0; end < bytes.length; end += end < 120 || end > bytes.length - 20 ? 1 : 37) expect(await reasonOf(bytes.slice(0, end))).not.toBe('whole')
    expect(await reasonOf(Uint8Array.from([...bytes, 10]))).toBe('its end is missing')
    for (let at = 0; at < bytes.length; at += at < 120 || at > bytes.length - 20 ? 1 : 29) {
      const changed = bytes.slice()
      changed[at] = (changed[at] ?? 0) ^ 1
      expect(await reasonOf(changed)).not.toBe('whole')
    }
  })

  test.each([
    ['', 'it is too short'],
    ['{"format":2,', 'it does not start with the header of format 1'],
  ])('that begins with %j is refused: %s', async (start, reason) => {
    const bytes = new TextDecoder().decode(await encodeImageFile({ image, life: newLife() }))
    expect(await reasonOf(new TextEncoder().encode(start === '' ? '' : start + bytes.slice(start.length)))).toBe(reason)
  })

  test.each([
    ['no JSON', 'x', 'its member image is not valid'],
    ['another kind of JSON', '[]', 'its member image is not valid'],
    ['a status that is none', JSON.stringify({ ...BLANK, status: 'fine', life: LIFE }), 'its member status is not valid'],
    ['a length that is text', JSON.stringify({ ...BLANK, length: '5', life: LIFE }), 'its member length is not valid'],
    ['a life that is none', JSON.stringify({ ...BLANK, life: { damagedAtMs: 'x' } }), 'its member life.damagedAtMs is not valid'],
  ])('with the right digest of %s is refused', async (_what, json, reason) => {
    expect(await reasonOf(fileOf(json))).toStartWith(reason)
  })

  test('of an agent that knew less is completed', async () => {
    expect(await decodeImageFile(fileOf(JSON.stringify(BLANK)))).toEqual({ kind: 'whole', stored: { image, life: newLife() } })
  })
})
