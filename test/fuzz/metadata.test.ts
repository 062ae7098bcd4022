// Fuzzes metadata: the Upload-Metadata header and image.json.

import { expect, test } from 'bun:test'
import { decodeImageFile, encodeImageFile, newLife } from '../../agent/images/records/image-file.ts'
import { describeUpload, parseMetadata } from '../../agent/uploads/record/metadata.ts'
import { imageDraftSchema, imageSchema } from '../../protocol/images/image.ts'
import type { Image } from '../../protocol/images/image.ts'
import { problemCode, ProblemError } from '../../protocol/problems.ts'
import { fuzz, FUZZ_TIMEOUT_MS } from '../support/fuzz.ts'
import type { Random } from '../support/properties.ts'

const KEYS = [
  'filename',
  'name',
  'description',
  'kind',
  'format',
  'os',
  'cloudInit',
  'mediaGroup',
  'owner',
  'digest',
  'device',
  'other',
  '__proto__',
  'toString',
]
const VALUES = ['', 'debian', 'disk.qcow2', 'system', 'base', 'raw', 'qcow2', 'true', 'false', 'maybe', 'ä€😀', '\u202egnp.exe', '\u0000', ' ', 'x'.repeat(256)]
const DIGEST = `sha256:${'0a'.repeat(32)}`

function header(random: Random): Uint8Array {
  const pairs = Array.from({ length: random.below(12) }, () => {
    const value = random.chance(0.8) ? Buffer.from(random.pick([...VALUES, DIGEST])) : random.bytes(random.below(300))
    const encoded = value.toString(random.chance(0.9) ? 'base64' : 'base64url')
    return `${random.pick(KEYS)}${random.chance(0.95) ? ' ' : '  '}${encoded}`
  })
  return Buffer.from(pairs.join(random.pick([',', ', ', ',,'])), 'latin1')
}

/** Encodes values as a header, valid or not. */
function encode(values: ReadonlyMap<string, Uint8Array>): string {
  return [...values].map(([key, value]) => (value.byteLength === 0 ? key : `${key} ${Buffer.from(value).toString('base64')}`)).join(',')
}

/** Returns the result of a function; undefined when it refuses its input as it should. Any other error is a finding. */
function accepted<Result>(run: () => Result): Result | undefined {
  try {
    return run()
  } catch (error) {
    if (!(error instanceof ProblemError) || problemCode(error.problem) !== 'invalid-input') throw error
    if (error.problem.detail.length > 20_000) throw new Error(`the refusal is ${error.problem.detail.length} characters long`, { cause: error })
    return undefined
  }
}

test(
  'Upload-Metadata',
  async () => {
    const corpus = ['', 'filename ZGViaWFu', `name ZGViaWFu,kind YmFzZQ==,cloudInit dHJ1ZQ==,digest ${btoa(DIGEST)}`, 'a,b,c', 'name ZGViaWFu,x']
    const result = await fuzz({
      name: 'Upload-Metadata',
      corpus: corpus.map((text) => Buffer.from(text)),
      share: 0.5,
      lengthMax: 16 * 1024,
      make: header,
      run(input) {
        const values = accepted(() => parseMetadata(Buffer.from(input).toString('latin1')))
        if (!values) return false
        if (!Bun.deepEquals(parseMetadata(encode(values)), values)) throw new Error('values do not survive encoding')
        const description = accepted(() => describeUpload(values, 'upl_1'))
        if (description && !Bun.deepEquals(imageDraftSchema.parse(description.draft), description.draft)) throw new Error('a draft does not match its schema')
        return true
      },
    })
    expect(result.accepted).toBeGreaterThan(0)
  },
  FUZZ_TIMEOUT_MS,
)

const IMAGE: Image = imageSchema.parse({
  id: 'img_01j00000000000000000000000',
  name: 'debian',
  description: 'a system',
  kind: 'system',
  format: 'qcow2',
  status: 'available',
  statusReason: null,
  digest: DIGEST,
  manifestDigest: DIGEST,
  length: 1_000_000,
  virtualSize: 2_000_000,
  storedSize: 500_000,
  uniqueSize: null,
  os: 'debian',
  cloudInit: true,
  requirements: { cpus: 2, memory: 1_000_000, disk: null },
  mediaGroup: null,
  owner: 'ann',
  labels: {},
  sourceInstance: null,
  source: { kind: 'upload', uploadId: 'upl_1', storeId: null, url: null, filename: 'ä.qcow2', device: null },
  protected: false,
  bindings: ['vm-1', 'vm-2'],
  grants: [{ subject: 'user:ann', rights: ['read', 'use'] }],
  createdAt: '2026-01-01T00:00:00.000Z',
  availableAt: '2026-01-01T00:00:01.000Z',
  deletedAt: null,
  expiresAt: null,
})
const HEAD_LENGTH = '{"format":1,"digest":"'.length
const VALUE_AT = HEAD_LENGTH + DIGEST.length + '","image":'.length

/** Puts the correct digest in front of the value, so that the decoder reaches errors behind the digest check. */
function sealed(input: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = Buffer.from(input)
  if (bytes.length > VALUE_AT + 2) bytes.write(`sha256:${Bun.SHA256.hash(bytes.subarray(VALUE_AT, -2), 'hex')}`, HEAD_LENGTH, 'latin1')
  return new Uint8Array(bytes)
}

test(
  'image.json',
  async () => {
    const changes: Partial<Image>[] = [{}, { status: 'creating', format: null }, { bindings: [], grants: [] }, { name: '名前', requirements: null }]
    const corpus = await Promise.all(changes.map((change) => encodeImageFile({ image: { ...IMAGE, ...change }, life: newLife({ damage: 'slices' }) })))
    const result = await fuzz({
      name: 'image.json',
      corpus,
      share: 0.5,
      lengthMax: 16 * 1024,
      async run(input, random) {
        const bytes = random.chance(0.9) ? sealed(input) : new Uint8Array(input)
        const found = await decodeImageFile(bytes)
        if (found.kind === 'damaged') {
          if (found.reason === '') throw new Error('a damaged file has no reason')
          return false
        }
        const again = await decodeImageFile(await encodeImageFile(found.stored))
        if (again.kind === 'damaged') throw new Error(`an accepted image does not encode: ${again.reason}`)
        if (!Bun.deepEquals(again.stored, found.stored)) throw new Error('an accepted image does not survive encoding')
        return true
      },
    })
    expect(result.accepted).toBeGreaterThan(0)
  },
  FUZZ_TIMEOUT_MS,
)
