// Which names in the inbox are images.

import { expect, test } from 'bun:test'
import { judgeInboxName, safeName } from '../../../../agent/imports/inbox/inbox-names.ts'

const judge = (name: string) => judgeInboxName(new TextEncoder().encode(name))

test('names of images are the names of their files', () => {
  expect(judge('debian-12.qcow2')).toEqual({ kind: 'image', name: 'debian-12.qcow2' })
  expect(judge('Größe 10 GiB (ünïcode).img')).toEqual({ kind: 'image', name: 'Größe 10 GiB (ünïcode).img' })
  expect(judge('part')).toEqual({ kind: 'image', name: 'part' })
  expect(judge('a.partition')).toEqual({ kind: 'image', name: 'a.partition' })
  expect(judge(' padded.img ')).toEqual({ kind: 'image', name: 'padded.img' })
})

test.each(['.a', '.', 'a.part', 'a.PART', 'a.partial', 'a.tmp', 'a.temp', 'a.crdownload', 'a.filepart', 'a.download', 'a.swp', 'a~', '#a#'])(
  'the name %s is temporary',
  (name) => expect(judge(name)).toEqual({ kind: 'temporary' }),
)

test('names that are no text, blank, or contain control characters are refused', () => {
  expect(judgeInboxName(new Uint8Array([0x61, 0xff]))).toEqual({ kind: 'refused', reason: 'Its name is not UTF-8. Rename the file.' })
  for (const name of ['a\nb', 'a\u001b[31m', 'a\u202eb', '\u007f']) expect(judge(name).kind).toBe('refused')
  expect(judge('   ').kind).toBe('refused')
  expect(judge('x'.repeat(255)).kind).toBe('image')
  expect(judge('x'.repeat(256)).kind).toBe('refused')
})

test('safe names have no control characters and no slash, are not hidden and not empty', () => {
  const safe = (name: string) => safeName(new TextEncoder().encode(name))
  expect(safe('a.img')).toBe('a.img')
  expect(safe('a\nb/c\u202e.img')).toBe('a_b_c_.img')
  expect(safe('.hidden')).toBe('_.hidden')
  expect(safe('')).toBe('_')
  expect(safeName(new Uint8Array([0xff, 0x61]))).toBe('_a')
})
