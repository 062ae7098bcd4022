// Upload-Metadata at its bounds, and what of it describes the image.

import { describe, expect, test } from 'bun:test'
import { describeUpload, parseMetadata } from '../../../../agent/uploads/record/metadata.ts'

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
