// Upload-Metadata at its bounds, and what of it describes the image.

import { describe, expect, test } from 'bun:test'
import { describeUpload, parseMetadata } from '../../../../agent/uploads/record/metadata.ts'
import type { FixedDraft } from '../../../../agent/uploads/record/metadata.ts'
import { ProblemError } from '../../../../protocol/problems.ts'

const text = (values: Map<string, Uint8Array>) => Object.fromEntries([...values].map(([key, bytes]) => [key, Buffer.from(bytes).toString('latin1')]))

describe('the header', () => {
  test('has keys with values in Base64, with or without padding, and keys without a value', () => {
    expect(text(parseMetadata('name ZGlzaw==,os bGludXg, empty ,alone'))).toEqual({ name: 'disk', os: 'linux', empty: '', alone: '' })
    expect(parseMetadata('')).toEqual(new Map())
    expect(parseMetadata('  ')).toEqual(new Map())
  })

  test('has at most 12,288 characters', () => {
    const key = 'k'.repeat(12_288)
    expect(parseMetadata(key).size).toBe(1)
    expect(() => parseMetadata(`${key}k`)).toThrow('Upload-Metadata has 12289 characters; the limit is 12288.')
  })

  test('has at most 64 keys', () => {
    const keys = Array.from({ length: 64 }, (_, i) => `k${i}`)
    expect(parseMetadata(keys.join(',')).size).toBe(64)
    expect(() => parseMetadata([...keys, 'more'].join(','))).toThrow('more than 64 keys')
  })

  test.each([
    ['a ZGlzaw==,', 'empty key'],
    ['a,,b', 'empty key'],
    ['a ZGlzaw== x', 'is not Base64'],
    ['a Z', 'is not Base64'],
    ['a Z=', 'is not Base64'],
    ['a ZGlz%w==', 'is not Base64'],
    ['a,b,a', 'the key a twice'],
    ['ä', 'not printable ASCII'],
  ])('%j: %s', (header, sentence) => {
    expect(() => parseMetadata(header)).toThrow(sentence)
  })
})

describe('the image', () => {
  const describeImage = (values: Record<string, string>, fixed?: string) =>
    describeUpload(
      new Map(Object.entries(values).map(([key, value]) => [key, new TextEncoder().encode(value)])),
      'upl_1',
      fixed === undefined ? undefined : { name: fixed },
    )

  test.each([
    [{ name: 'a', filename: 'b.raw' }, undefined, 'a'],
    [{ filename: 'b.raw' }, undefined, 'b.raw'],
    [{ name: '', filename: 'b.raw' }, undefined, 'b.raw'],
    [{}, undefined, 'upl_1'],
    [{ name: 'a', filename: 'b.raw' }, 'fixed', 'fixed'],
  ])('of %j and the fixed name %p is named %s', (values, fixed, name) => {
    expect(describeImage(values as Record<string, string>, fixed).draft.name).toBe(name)
  })

  test('has the known members and no others', () => {
    const { draft, filename, device } = describeImage({
      name: 'a',
      os: 'linux',
      cloudInit: 'true',
      owner: 'ann',
      kind: 'iso',
      filename: 'f',
      device: 'd',
      other: 'x',
    })
    expect(draft).toMatchObject({ name: 'a', os: 'linux', cloudInit: true, owner: 'ann', kind: 'iso' })
    expect(draft).not.toHaveProperty('other')
    expect([filename, device]).toEqual(['f', 'd'])
    expect(describeImage({ cloudInit: 'false' }).draft.cloudInit).toBe(false)
    expect(describeImage({})).toMatchObject({ filename: null, device: null })
  })

  test('has labels, which are sent as a JSON object, and the instance that the image comes from', () => {
    expect(describeImage({ labels: '{"env":"test","team":""}', sourceInstance: 'vm-1' }).draft).toMatchObject({
      labels: { env: 'test', team: '' },
      sourceInstance: 'vm-1',
    })
    for (const labels of ['env=test', '["env"]', '{"env":1}', '{"a b":"c"}', '{']) expect(() => describeImage({ labels })).toThrow('labels')
  })

  test('is refused with the name of the invalid key', () => {
    expect(() => describeImage({ cloudInit: 'yes' })).toThrow('cloudInit')
    expect(() => describeImage({ kind: 'floppy' })).toThrow('kind')
    expect(() => describeUpload(new Map([['os', Uint8Array.of(0xff)]]), 'upl_1')).toThrow('the value of os is not UTF-8')
  })
})

describe('the image of an upload through a link', () => {
  const SENT = { name: 'theirs', os: 'linux', kind: 'iso', owner: 'mallory', labels: '{"env":"theirs"}', decompress: 'true', description: 'sent' }
  const throughLink = (fixed: FixedDraft) =>
    describeUpload(new Map(Object.entries(SENT).map(([key, value]) => [key, new TextEncoder().encode(value)])), 'upl_1', fixed).draft

  test('has what the link decides, and for the rest what the client sends', () => {
    expect(throughLink({ name: 'ours', os: 'debian-12', kind: 'template', owner: 'ann', labels: { env: 'ours' } })).toMatchObject({
      name: 'ours',
      os: 'debian-12',
      kind: 'template',
      owner: 'ann',
      labels: { env: 'ours' },
      decompress: true,
      description: 'sent',
    })
  })

  test('never has an owner or labels from the client', () => {
    const draft = throughLink({ name: undefined })
    expect(draft).toMatchObject({ name: 'theirs', os: 'linux', kind: 'iso' })
    expect(draft.owner ?? null).toBeNull()
    expect(draft.labels ?? {}).toEqual({})
  })
})

test('the names of a file and of a device are decoded, and cut at 1024 and 255 characters', () => {
  const described = (filename: string, device: string) =>
    describeUpload(new Map(Object.entries({ name: 'a', filename, device }).map(([key, value]) => [key, new TextEncoder().encode(value)])), 'upl_1')
  expect(described('ü'.repeat(1024), 'd'.repeat(255))).toMatchObject({ filename: 'ü'.repeat(1024), device: 'd'.repeat(255) })
  expect(described('f'.repeat(1025), 'd'.repeat(256))).toMatchObject({ filename: 'f'.repeat(1024), device: 'd'.repeat(255) })
})

test('what is wrong is named by its key, with the reason', () => {
  const errorsOf = (values: Record<string, string>): unknown => {
    try {
      describeUpload(new Map(Object.entries(values).map(([key, value]) => [key, new TextEncoder().encode(value)])), 'upl_1')
      return undefined
    } catch (error) {
      return error instanceof ProblemError ? error.problem['errors'] : error
    }
  }
  const long = 'n'.repeat(256)
  expect(errorsOf({ name: long })).toEqual([{ in: 'Upload-Metadata', member: 'name', message: expect.any(String) }])
  // Without a name, the file gives it.
  expect(errorsOf({ filename: long })).toEqual([{ in: 'Upload-Metadata', member: 'filename', message: expect.any(String) }])
  expect(errorsOf({ decompress: 'yes' })).toEqual([{ in: 'Upload-Metadata', member: 'decompress', message: expect.any(String) }])
})
