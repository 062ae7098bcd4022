// The packs of an index by number and by name, also when a damaged file has a name twice.

import { expect, test } from 'bun:test'
import { KnownPacks } from '../../../../agent/slices/index/known-packs.ts'
import type { PackEntry } from '../../../../agent/slices/packs/slice-row.ts'

const [A, B] = ['a'.repeat(32), 'b'.repeat(32)]
const pack = (id: number, name: string): PackEntry => ({ id, name, length: 0, sealed: false })

test('a pack is known by its number and by its name until it is deleted', () => {
  const packs = new KnownPacks([pack(1, A), pack(2, B)])
  expect([packs.has(1), packs.idOf(A), packs.get(2)?.name, packs.has(3), packs.idOf('c')]).toEqual([true, 1, B, false, undefined])
  expect(packs.set({ ...pack(1, A), sealed: true })).toMatchObject({ id: 1, sealed: true })
  expect([...packs.all()].map(({ id, sealed }) => [id, sealed])).toEqual([
    [1, true],
    [2, false],
  ])
  packs.delete(1)
  packs.delete(1)
  expect([packs.has(1), packs.idOf(A), [...packs.all()].length]).toEqual([false, undefined, 1])
})

test('a name has the number that was set last, and deleting an old number leaves it', () => {
  const packs = new KnownPacks([pack(1, A), pack(2, A)])
  expect([packs.has(1), packs.idOf(A), [...packs.all()].length]).toEqual([false, 2, 1])
  packs.delete(1)
  expect(packs.idOf(A)).toBe(2)
})
