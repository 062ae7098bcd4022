// Bounds of texts that clients send beside the members of schemas, as literals: the longest that is accepted, and one character more.

import { describe, expect, test } from 'bun:test'
import { importRequestSchema } from '../../protocol/images/imports.ts'
import { labelsPatchSchema } from '../../protocol/images/labels.ts'
import { parseOnBehalf } from '../../protocol/on-behalf.ts'
import { storePatchSchema } from '../../protocol/store.ts'
import { parseSyncWindows } from '../../protocol/sync/sync-limits.ts'
import { linkDraftSchema } from '../../protocol/upload-link.ts'

describe('the name for whom a request is sent', () => {
  test('takes 1440 characters of a header, as many as 120 encoded characters can need', () => {
    expect(parseOnBehalf(`a${' '.repeat(1439)}`)).toBe('a')
    expect(parseOnBehalf(`a${' '.repeat(1440)}`)).toBeUndefined()
  })

  test('has 120 characters, however they are encoded', () => {
    expect(parseOnBehalf(encodeURIComponent('ü'.repeat(120)))).toBe('ü'.repeat(120))
    expect(parseOnBehalf(encodeURIComponent('ü'.repeat(121)))).toBeUndefined()
  })
})

test('what a link decides about its image has 1024 characters of JSON', () => {
  const draft = (length: number): object => ({ description: 'x'.repeat(length - '{"description":""}'.length) })
  expect([linkDraftSchema.safeParse(draft(1024)).success, linkDraftSchema.safeParse(draft(1025)).success]).toEqual([true, false])
})

describe('the source of an import', () => {
  const isAccepted = (member: object): boolean => importRequestSchema.safeParse({ source: { url: 'https://a/b', ...member }, name: 'a' }).success
  const key = (length: number): string => '-----BEGIN PRIVATE KEY-----\n'.padEnd(length, 'k')

  test.each<[member: string, longest: number, make: (length: number) => string]>([
    ['privateKey', 16_384, key],
    ['username', 1024, (length) => 'u'.repeat(length)],
    ['password', 1024, (length) => 'p'.repeat(length)],
    ['passphrase', 1024, (length) => 'p'.repeat(length)],
    ['token', 4096, (length) => 't'.repeat(length)],
  ])('has a %s of at most %i characters', (member, longest, make) => {
    expect([isAccepted({ [member]: make(longest) }), isAccepted({ [member]: make(longest + 1) })]).toEqual([true, false])
  })
})

test('a change of labels names at most 64 of them', () => {
  const labels = (count: number): object => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, null]))
  expect([labelsPatchSchema.safeParse(labels(64)).success, labelsPatchSchema.safeParse(labels(65)).success]).toEqual([true, false])
})

test('hours of syncs have at most 16 windows', () => {
  const windows = (count: number): string => Array.from({ length: count }, (_, i) => `${i} 22 * * * for 8h`).join('; ')
  expect(parseSyncWindows(windows(16))).toHaveLength(16)
  expect(parseSyncWindows(windows(17))).toBeUndefined()
})

test('a client may be told to upload with 1 to 16 requests at a time', () => {
  const isAccepted = (uploadConcurrency: number): boolean => storePatchSchema.safeParse({ transfer: { uploadConcurrency } }).success
  expect([0, 1, 16, 17].map(isAccepted)).toEqual([false, true, true, false])
})
