// Content-Digest and Repr-Digest (RFC 9530): which digest of a header is taken, and that the expected digest of an upload is durable and never changes.

import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { refuseCreation } from '../../../agent/uploads/create.ts'
import type { UploadOrder } from '../../../agent/uploads/create.ts'
import { declareDigest, expectDigest, parseContentDigest, parseReprDigest } from '../../../agent/uploads/digest-fields.ts'
import type { UploadsContext } from '../../../agent/uploads/context.ts'
import type { Upload } from '../../../agent/uploads/record/upload.ts'
import { problemCode, ProblemError } from '../../../protocol/problems.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import { uploadFile } from './record/upload-file-of.ts'
import { create, patch, someBytes } from '../../support/clients/upload-requests.ts'

/** SHA-256 and SHA-512 of nothing. */
const SHA_256 = '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
const SHA_512 = 'z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg=='
const HEX_256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
const [ONE, OTHER] = [`sha256:${HEX_256}`, `sha256:${'0'.repeat(64)}`]

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof ProblemError) return problemCode(error.problem)
    throw error
  }
  return 'no problem'
}

describe('a digest header', () => {
  test('gives its SHA-256, or else its SHA-512, whatever else it has', () => {
    expect(parseContentDigest(`sha-256=:${SHA_256}:`)).toMatchObject({ algorithm: 'sha256', field: 'Content-Digest' })
    expect(parseContentDigest(`md5=:AAAA:, sha-512=:${SHA_512}:;q=1`).algorithm).toBe('sha512')
    expect(parseContentDigest(`sha-512=:${SHA_512}:,sha-256=:${SHA_256}:`).expected.toHex()).toBe(HEX_256)
    expect(parseReprDigest(` sha-256=:${SHA_256}: `)).toBe(ONE)
  })

  test.each([
    ['without a digest', ''],
    ['of an unknown algorithm', `sha-1=:${SHA_256}:`],
    ['whose value is no byte sequence', `sha-256=${SHA_256}`],
    ['whose value has another length', 'sha-256=:AAAA:'],
    ['with a SHA-512 in place of a SHA-256', `sha-256=:${SHA_512}:`],
    ['with a member that is none', `sha-256=:${SHA_256}:, x`],
  ])('%s is refused', (_what, header) => {
    expect(codeOf(() => parseContentDigest(header))).toBe('invalid-input')
    expect(codeOf(() => parseReprDigest(header))).toBe('invalid-input')
  })

  test('for the whole upload must be a SHA-256', () => {
    expect(codeOf(() => parseReprDigest(`sha-512=:${SHA_512}:`))).toBe('invalid-input')
  })
})

test('a draft gets the expected digest, keeps an equal one, and refuses another', () => {
  const draft = { name: 'one', description: '' }
  expect(expectDigest(draft, undefined)).toBe(draft)
  expect(expectDigest(draft, ONE)).toEqual({ ...draft, digest: ONE })
  const declared = { ...draft, digest: ONE }
  expect(expectDigest(declared, ONE)).toBe(declared)
  expect(expectDigest(declared, undefined)).toBe(declared)
  expect(codeOf(() => expectDigest(declared, OTHER))).toBe('invalid-input')
})

test('a part takes no expected digest, at its creation or later, and an upload whose image exists keeps the one that it has', async () => {
  const order = { actor: { name: 'ann', role: 'uploader' }, length: 100, digest: ONE } as unknown as UploadOrder
  const context = { gate: { requireEnabled: () => {} }, maxLength: 1000, disk: { writeFileAtomic: () => Promise.reject(new Error('nothing may be written')) } }
  const created = (concat?: { readonly kind: string }): string =>
    codeOf(() => refuseCreation(context as unknown as UploadsContext, { ...order, concat } as UploadOrder, undefined))
  expect([created({ kind: 'partial' }), created({ kind: 'final' }), created()]).toEqual(['invalid-input', 'no problem', 'no problem'])
  const declared = (changes: Parameters<typeof uploadFile>[0], digest: string | undefined): Promise<string> =>
    declareDigest(context as unknown as UploadsContext, { file: uploadFile(changes) } as unknown as Upload, digest).then(
      () => 'accepted',
      (error: ProblemError) => error.code,
    )
  const draft = { name: 'one', description: '', digest: ONE }
  expect(await declared({ draft, publishedAtMs: 5 }, undefined)).toBe('accepted')
  expect(await declared({ draft, publishedAtMs: 5 }, ONE)).toBe('accepted')
  expect(await declared({ draft, publishedAtMs: 5 }, OTHER)).toBe('invalid-input')
  expect(await declared({ draft: { name: 'one', description: '' }, publishedAtMs: 5 }, ONE)).toBe('invalid-input')
  expect(await declared({ draft: null }, undefined)).toBe('accepted')
  expect(await declared({ draft: null }, ONE)).toBe('invalid-input')
})

test('the expected digest is durable before a byte of the same request is', async () => {
  const real = createDisk()
  const disk: typeof real = {
    ...real,
    async writeFileAtomic(path, bytes) {
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
      await real.writeFileAtomic(path, bytes)
    },
  }
  const known: unknown[] = []
  let id = ''
  const crashPoint = (name: string): void => {
    if (name === 'uploads:before-journal') known.push(JSON.parse(readFileSync(join(server.folder, id, 'upload.json'), 'utf8')).draft?.digest)
  }
  await using server = await startUploadServer({ disk, crashPoint })
  const content = someBytes(100_000)
  const field = `sha-256=:${Buffer.from(Bun.SHA256.hash(content) as Uint8Array).toString('base64')}:`
  const url = await create(server, 200_000)
  id = url.split('/').at(-1) ?? ''
  expect((await patch(server, url, 0, content, { 'Repr-Digest': field })).status).toBe(204)
  expect(known).toEqual([`sha256:${Bun.SHA256.hash(content, 'hex')}`])
  // A second digest is refused before a byte is taken.
  const other = `sha-256=:${SHA_256}:`
  expect((await patch(server, url, 100_000, content, { 'Repr-Digest': other })).status).toBe(400)
  expect((await server.ask('HEAD', url)).headers.get('upload-offset')).toBe('100000')
})
