// The file of a snapshot: a new one replaces the old one only when all its lines are durable.

import { expect, test } from 'bun:test'
import { readFile } from 'node:fs/promises'
import { formatLine, openSnapshotWriter, readSnapshotFile } from '../../../../agent/images/snapshot/snapshot-file.ts'
import type { SnapshotPlace } from '../../../../agent/images/snapshot/snapshot-file.ts'
import { createOrderedDisk } from '../../../support/machine/ordered-disk.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

test('a snapshot is written and synced beside the old one, and then replaces it', async () => {
  await using folder = await createTemporaryFolder()
  const disk = createOrderedDisk()
  const path = folder.file('snapshot')
  await Bun.write(path, 'old')
  {
    await using writer = await openSnapshotWriter({ disk, path, key: 'k' })
    await writer.add(formatLine({ id: 'a', identity: [1, 2], value: { x: 1 } }))
    expect(disk.take()).toEqual(['remove snapshot.tmp'])
    expect(await readFile(path, 'utf8')).toBe('old')
    await writer.finish()
    expect(disk.take()).toEqual(['write snapshot.tmp', 'sync snapshot.tmp', 'rename snapshot.tmp snapshot'])
  }
  expect(disk.take()).toEqual(['close snapshot.tmp'])
  const lines = (await readFile(path, 'utf8')).split('\n')
  expect(lines).toHaveLength(3)
  expect(lines[1]).toEndWith(' ["a",[1,2],{"x":1}]')
})

test('a snapshot that is not finished leaves the old one', async () => {
  await using folder = await createTemporaryFolder()
  const disk = createOrderedDisk()
  const path = folder.file('snapshot')
  await Bun.write(path, 'old')
  {
    await using writer = await openSnapshotWriter({ disk, path, key: 'k' })
    await writer.add('x'.repeat(10_000_000))
  }
  expect(disk.take()).toEqual(['remove snapshot.tmp', 'write snapshot.tmp', 'close snapshot.tmp'])
  expect(await readFile(path, 'utf8')).toBe('old')
})

test('a snapshot is read up to a line that is too long for one', async () => {
  await using folder = await createTemporaryFolder()
  const disk = createOrderedDisk()
  const path = folder.file('snapshot')
  const line = (id: string, length: number): string => {
    const empty = formatLine({ id, identity: [1], value: '' })
    return formatLine({ id, identity: [1], value: 'x'.repeat(length - empty.length) })
  }
  const idsOf = async (...lines: readonly string[]): Promise<string[]> => {
    await using writer = await openSnapshotWriter({ disk, path, key: 'k' })
    for (const one of lines) await writer.add(one)
    await writer.finish()
    const ids: string[] = []
    for await (const found of readSnapshotFile({ disk, path, key: 'k' })) ids.push(...found.map(({ id }) => id))
    return ids
  }
  const MIB = 1024 * 1024
  expect(await idsOf(line('a', 100), line('b', 8 * MIB), line('c', 100))).toEqual(['a', 'b', 'c'])
  expect(await idsOf(line('a', 100), line('b', 10 * MIB), line('c', 100))).toEqual(['a'])
  expect(await idsOf(line('a', 100).replace('x', 'y'), line('b', 100))).toEqual(['b'])
  expect(await Array.fromAsync(readSnapshotFile({ disk, path, key: 'other' }))).toEqual([])
  expect(await Array.fromAsync(readSnapshotFile({ disk, path: folder.file('none'), key: 'k' }))).toEqual([])
})

test('a line may have 8 MiB in front of its end, and not one byte more', async () => {
  // A title of 1 MiB fills the first piece, so that the next eight have 8 MiB of the line when the limit is checked.
  await using folder = await createTemporaryFolder()
  const disk = createOrderedDisk()
  const MIB = 1024 * 1024
  const place = (keyLength: number): SnapshotPlace => ({ disk, path: folder.file('snapshot'), key: 'k'.repeat(keyLength) })
  const line = formatLine({ id: 'a', identity: [1], value: 'x'.repeat(8 * MIB) })
  const idsOf = async (at: SnapshotPlace): Promise<string[]> => {
    {
      await using writer = await openSnapshotWriter(at)
      await writer.add(line)
      await writer.finish()
    }
    const blocks = await Array.fromAsync(readSnapshotFile(at))
    return blocks.flat().map(({ id }) => id)
  }
  // The title has 29 bytes before its key, and a line feed.
  expect(await idsOf(place(MIB - 30))).toEqual(['a'])
  expect(await idsOf(place(MIB - 31))).toEqual([])
})

test('entries come back as they were, in blocks of about a megabyte, with the lines for the next snapshot', async () => {
  await using folder = await createTemporaryFolder()
  const disk = createOrderedDisk()
  const at: SnapshotPlace = { disk, path: folder.file('snapshot'), key: 'k' }
  const lines = Array.from({ length: 40 }, (_, i) => formatLine({ id: `img_${i}`, identity: [i, 7], value: { text: 'ü'.repeat(50_000) } }))
  {
    await using writer = await openSnapshotWriter(at)
    // Several callers may add at a time.
    await Promise.all(lines.map((line) => writer.add(line)))
    await writer.finish()
  }
  const blocks = await Array.fromAsync(readSnapshotFile(at))
  expect(blocks.map(({ length }) => length)).toEqual([10, 10, 11, 9])
  expect(blocks.flat().map((line) => line.text())).toEqual(lines)
  const [first] = blocks.flat()
  expect([first?.id, first?.identity, first?.value]).toEqual(['img_0', [0, 7], { text: 'ü'.repeat(50_000) }])
  expect(lines[0]).toMatch(/^[0-9a-f]{16} \["img_0",\[0,7\],\{"text":"ü+"\}\]\n$/)
})

test('a snapshot is written about a megabyte at a time', async () => {
  await using folder = await createTemporaryFolder()
  const disk = createOrderedDisk()
  await using writer = await openSnapshotWriter({ disk, path: folder.file('snapshot'), key: 'k' })
  expect(disk.take()).toEqual(['remove snapshot.tmp'])
  await writer.add('x'.repeat(1_048_575))
  expect(disk.take()).toEqual([])
  await writer.add('x')
  expect(disk.take()).toEqual(['write snapshot.tmp'])
  await writer.add('x'.repeat(1_048_575))
  expect(disk.take()).toEqual([])
})
