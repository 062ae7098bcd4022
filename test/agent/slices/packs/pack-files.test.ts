// Open packs: 64 at most, none is closed while it is used, and a pack that could not be opened is tried again.

import { expect, test } from 'bun:test'
import type { Disk } from '../../../../agent/contract/disk.ts'
import { PackFiles } from '../../../../agent/slices/packs/pack-files.ts'
import { createDisk } from '../../../../agent/system/disk.ts'

const name = (n: number): string => n.toString(16).padStart(32, '0')

/** A disk on which every pack can be opened. `open` has the packs that are open, the one opened first first. */
function watchedDisk(): { disk: Disk; open: string[]; opened: string[]; refuse: Set<string> } {
  const [open, opened]: [string[], string[]] = [[], []]
  const refuse = new Set<string>()
  const disk: Disk = {
    ...createDisk(),
    async openRead(path) {
      if (refuse.has(path)) throw new Error('refused')
      const file = await createDisk().openRead('/dev/null')
      open.push(path)
      opened.push(path)
      return {
        ...file,
        async close() {
          open.splice(open.indexOf(path), 1)
          await file.close()
        },
      }
    },
  }
  return { disk, open, opened, refuse }
}

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}

test('keeps the 64 packs open that were used last', async () => {
  const { disk, open, opened } = watchedDisk()
  await using files = new PackFiles(disk, '/packs')
  for (let n = 0; n < 64; n++) await files.use(name(n), async () => {})
  expect(open).toHaveLength(64)
  await files.use(name(0), async () => {})
  await files.use(name(64), async () => {})
  await settle()
  expect(open).toHaveLength(64)
  expect(open).not.toContain(files.path(name(1)))
  expect(open).toContain(files.path(name(0)))
  await files.use(name(1), async () => {})
  expect(opened.filter((path) => path === files.path(name(1)))).toHaveLength(2)
  expect(opened.filter((path) => path === files.path(name(0)))).toHaveLength(1)
})

test('closes none that is used: not for another, and not when it is forgotten', async () => {
  const { disk, open } = watchedDisk()
  await using files = new PackFiles(disk, '/packs')
  const gate = Promise.withResolvers<void>()
  const using_ = files.use(name(0), () => gate.promise)
  for (let n = 1; n < 70; n++) await files.use(name(n), async () => {})
  await settle()
  expect(open).toContain(files.path(name(0)))
  files.forget(name(0))
  files.forget(name(999))
  await settle()
  expect(open).toContain(files.path(name(0)))
  gate.resolve()
  await using_
  await settle()
  expect(open).not.toContain(files.path(name(0)))
})

test('opens a pack again after a failure, and closes all at the end', async () => {
  const { disk, open, refuse } = watchedDisk()
  const files = new PackFiles(disk, '/packs')
  refuse.add(files.path(name(3)))
  await expect(files.use(name(3), async () => {})).rejects.toThrow('refused')
  refuse.clear()
  expect(await files.use(name(3), async () => 'read')).toBe('read')
  expect(files.path(name(0x3c))).toBe('/packs/00/0000000000000000000000000000003c.pack')
  await files[Symbol.asyncDispose]()
  await settle()
  expect(open).toEqual([])
})
