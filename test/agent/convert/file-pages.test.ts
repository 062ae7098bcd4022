// Pages of a file: what is read of it, how often, and that nothing outside of it is.

import { expect, test } from 'bun:test'
import { createFilePages } from '../../../agent/convert/file-pages.ts'

const PAGE = 65_536

/** A file whose byte at an offset is the number of its page, in pieces of 10,000 bytes; `reads` has the ranges that were read. */
function open(length: number) {
  const reads: [start: number, end: number][] = []
  const file = {
    length,
    async *read(start: number, end: number) {
      reads.push([start, end])
      for (let at = start; at < end; at += 10_000) {
        yield Uint8Array.from({ length: Math.min(10_000, end - at) }, (_unused, i) => Math.floor((at + i) / PAGE))
      }
    },
  }
  return { pages: createFilePages(file as unknown as Parameters<typeof createFilePages>[0]), reads }
}

test('a page is read once, and the last one only to the end of the file', async () => {
  const { pages, reads } = open(2 * PAGE + 100)
  const first = await pages.page(PAGE - 1)
  expect([first.at, first.bytes.length, first.bytes[PAGE - 1]]).toEqual([0, PAGE, 0])
  const last = await pages.page(2 * PAGE + 99)
  expect([last.at, last.bytes.length, last.bytes[0], last.bytes[99]]).toEqual([2 * PAGE, 100, 2, 2])
  await pages.page(0)
  await pages.page(2 * PAGE)
  expect(reads).toEqual([
    [0, PAGE],
    [2 * PAGE, 2 * PAGE + 100],
  ])
})

test.each([-1, 100, 101, Number.NaN, 2 ** 53])('there is no page at %p in a file of 100 bytes', async (offset) => {
  const { pages, reads } = open(100)
  await expect(pages.page(offset)).rejects.toMatchObject({ code: 'unsafe-image' })
  await expect(pages.page(offset)).rejects.toThrow(`a table lies outside of the file, at ${offset}`)
  expect(reads).toEqual([])
})

test('32 pages are kept, and the one that was not used for longest makes room', async () => {
  const { pages, reads } = open(40 * PAGE)
  for (let i = 0; i < 32; i++) await pages.page(i * PAGE)
  for (let i = 0; i < 32; i++) await pages.page(i * PAGE)
  expect(reads).toHaveLength(32)
  await pages.page(0)
  await pages.page(32 * PAGE)
  expect(reads).toHaveLength(33)
  // Page 0 was used after page 1.
  await pages.page(0)
  expect(reads).toHaveLength(33)
  await pages.page(PAGE)
  expect(reads.slice(33)).toEqual([[PAGE, 2 * PAGE]])
})

test('bytes may cross pages, up to the last byte of the file', async () => {
  const { pages, reads } = open(3 * PAGE)
  const bytes = await pages.bytes(PAGE - 2, PAGE + 4)
  expect([bytes.length, bytes[0], bytes[1], bytes[2], bytes[PAGE + 1], bytes[PAGE + 2], bytes[PAGE + 3]]).toEqual([PAGE + 4, 0, 0, 1, 1, 2, 2])
  expect(reads).toHaveLength(3)
  expect((await pages.bytes(3 * PAGE - 1, 1)).toString('hex')).toBe('02')
  expect(await pages.bytes(3 * PAGE, 0)).toHaveLength(0)
  await expect(pages.bytes(3 * PAGE - 1, 2)).rejects.toThrow(`2 bytes at ${3 * PAGE - 1} lie outside of the file`)
  await expect(pages.bytes(-1, 1)).rejects.toThrow('1 bytes at -1 lie outside of the file')
  await expect(pages.bytes(Number.NaN, 1)).rejects.toMatchObject({ code: 'unsafe-image' })
})
