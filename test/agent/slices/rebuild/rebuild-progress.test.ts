// The progress of a rebuild of the index, as health and metrics show it, and how often it starts over.

import { expect, test } from 'bun:test'
import { createIndexRebuilder } from '../../../../agent/slices/rebuild/index-rebuild.ts'
import type { IndexRebuilderDeps } from '../../../../agent/slices/rebuild/index-rebuild.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'

test('counts the packs that are read, of those that were to be read at its start', async () => {
  const packs = [1, 2, 3].map((id) => ({ id, name: String(id).repeat(32), length: 100, sealed: true }))
  const unread = new Set(packs)
  const state = { isIncomplete: true, isDistrusted: true }
  const seen: unknown[] = []
  const rebuilder = createIndexRebuilder({
    log: createMemoryLog(),
    index: {
      get isIncomplete() {
        return state.isIncomplete
      },
      get isDistrusted() {
        return state.isDistrusted
      },
      startRebuild: () => (state.isDistrusted = false),
      unreadPacks: () => [...unread],
      enter: async () => {},
      endPack(id: number) {
        for (const pack of unread) if (pack.id === id) unread.delete(pack)
      },
      finishRebuild: async () => void (state.isIncomplete = false),
      sliceCount: 3,
    },
    files: { use: async () => [{ digest: new Uint8Array(32), offset: 16, length: 1, storedLength: 1 }] },
    quarantine: { has: () => false },
    buildFilter: async () => void seen.push('filter'),
    leaveOut: () => {},
    onDamaged: () => {},
    onRebuilt: (count: number) => void seen.push(`rebuilt from ${count}`),
    signal: new AbortController().signal,
    pause: async () => void seen.push(rebuilder.progress),
  } as unknown as IndexRebuilderDeps)
  expect(rebuilder.progress).toEqual({ done: 0, total: 0 })
  await Promise.all([rebuilder.rebuild(), rebuilder.rebuild()])
  expect(seen).toEqual([{ done: 0, total: 3 }, { done: 1, total: 3 }, { done: 2, total: 3 }, 'filter', 'rebuilt from 3'])
  expect(rebuilder.progress).toBeUndefined()
  await rebuilder.rebuild()
  expect(seen).toHaveLength(5)
})

test.each([
  [2, 3, 'resolved'],
  [3, 3, 'the index database was damaged repeatedly while it was being rebuilt'],
])('damaged %i times again, it is started %i times: %s', async (damages, starts, outcome) => {
  let started = 0
  const rebuilder = createIndexRebuilder({
    log: createMemoryLog(),
    index: {
      get isIncomplete() {
        return started <= damages
      },
      get isDistrusted() {
        return started <= damages
      },
      startRebuild: () => void started++,
      unreadPacks: () => [],
      finishRebuild: async () => {},
      sliceCount: 0,
    },
    buildFilter: async () => {},
    onRebuilt: () => {},
    signal: new AbortController().signal,
  } as unknown as IndexRebuilderDeps)
  const ended = rebuilder.rebuild().then(
    () => 'resolved',
    (error: Error) => error.message,
  )
  expect([await ended, started]).toEqual([outcome, starts])
})
