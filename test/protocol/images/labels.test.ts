// Labels at their bounds, and the merge of a change.

import { expect, test } from 'bun:test'
import { imagePatchSchema } from '../../../protocol/images/image.ts'
import { labelsPatchSchema, labelsSchema, mergeLabels } from '../../../protocol/images/labels.ts'

function labels(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 'v']))
}

test('an image has at most 64 labels, with keys of 63 and values of 255 characters', () => {
  expect(labelsSchema.safeParse(labels(64)).success).toBe(true)
  expect(labelsSchema.safeParse(labels(65)).success).toBe(false)
  expect(labelsPatchSchema.safeParse(labels(65)).success).toBe(false)
  expect(labelsSchema.safeParse({ ['k'.repeat(63)]: 'v'.repeat(255) }).success).toBe(true)
  expect(labelsSchema.safeParse({ ['k'.repeat(64)]: 'v' }).success).toBe(false)
  expect(labelsSchema.safeParse({ k: 'v'.repeat(256) }).success).toBe(false)
})

test.each(['env', 'a', 'app.example/role', 'A-1_b'])('the key %p is accepted', (key) => {
  expect(labelsSchema.parse({ [key]: '' })).toEqual({ [key]: '' })
})

test.each(['', '.env', 'env.', 'a b', 'a=b', 'ä', 'a\n'])('the key %p is refused', (key) => {
  expect(labelsSchema.safeParse(JSON.parse(JSON.stringify({ x: 1 }).replace('"x":1', `${JSON.stringify(key)}:"v"`))).success).toBe(false)
})

test.each(['a\nb', '\u0000', 'a\u202eb', '\ufeff', '\u2028'])('the value %j is refused', (value) => {
  expect(labelsSchema.safeParse({ k: value }).success).toBe(false)
})

test('a change sets, replaces and removes labels, and keeps the others in the order of their keys', () => {
  expect(JSON.stringify(mergeLabels({ b: '1', c: '2' }, { a: '3', b: '4', c: null, d: null }))).toBe('{"a":"3","b":"4"}')
  expect(mergeLabels({ a: '1' }, {})).toEqual({ a: '1' })
})

test('an image does not become a virtual disk by a change', () => {
  expect(imagePatchSchema.safeParse({ kind: 'virtualDisk' }).success).toBe(false)
  expect(imagePatchSchema.safeParse({ kind: 'capture' }).success).toBe(true)
})
