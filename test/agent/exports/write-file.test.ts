// Writing a conversion to a file: what is written where, and that everything is synced before it counts.

import { describe, expect, test } from 'bun:test'
import type { Conversion, Part } from '../../../agent/contract/convert.ts'
import type { Disk, DiskFile } from '../../../agent/contract/disk.ts'
import { writeFile } from '../../../agent/exports/write-file.ts'

const MIB = 1024 * 1024
const never = new AbortController().signal

/** A disk with one file, whose operations are recorded when they are over. */
function createRecorder() {
  const operations: string[] = []
  const later = async (what: string): Promise<void> => {
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
    operations.push(what)
  }
  const close = (): Promise<void> => later('close')
  const file: DiskFile = {
    read: async () => 0,
    write: (parts, position) => later(`write ${parts.reduce((sum, part) => sum + part.byteLength, 0)} at ${position}`),
    sync: () => later('sync'),
    truncate: (length) => later(`length ${length}`),
    length: async () => 0,
    close,
    [Symbol.asyncDispose]: close,
  }
  // Only opening is done by an export.
  const disk = {
    async openWrite(path, mode) {
      operations.push(`open ${path} ${mode}`)
      return file
    },
  } as Disk
  return { disk, operations }
}

async function run(parts: readonly Part[], signal = never) {
  const { disk, operations } = createRecorder()
  // A stream is read once, from its start.
  const conversion = {
    kind: 'stream',
    async *parts() {
      yield* parts
    },
  } as unknown as Conversion
  const onSynced = async (offset: number, bytes: number): Promise<void> => {
    await Promise.resolve()
    operations.push(`synced ${offset}, ${bytes} bytes`)
  }
  const written = writeFile(disk, { conversion, path: '/export', signal, onSynced })
  return { length: await written.catch((error: unknown) => String(error)), operations }
}

describe('an export', () => {
  test('is written in pieces of a megabyte with holes for zeros, and synced after its length is set', async () => {
    const [half, quarter] = [new Uint8Array(MIB / 2), new Uint8Array(MIB / 4)]
    const { length, operations } = await run([half, quarter, half, { zeros: 10 * MIB }, quarter, { zeros: 100 }])
    expect(length).toBe(12_058_724)
    expect(operations).toEqual([
      'open /export create',
      'write 1310720 at 0',
      'write 262144 at 11796480',
      'length 12058724',
      'sync',
      'synced 12058724, 1572864 bytes',
      'close',
    ])
  })

  test('of nothing but zeros has no byte written', async () => {
    const { length, operations } = await run([{ zeros: 5000 }])
    expect(length).toBe(5000)
    expect(operations).toEqual(['open /export create', 'length 5000', 'sync', 'synced 5000, 0 bytes', 'close'])
  })

  test('is synced after each 64 MiB that it writes, zeros not counted', async () => {
    const parts: Part[] = []
    for (let i = 0; i < 129; i++) parts.push(new Uint8Array(MIB), { zeros: MIB })
    const { operations } = await run(parts)
    expect(operations.filter((what) => what.includes('sync'))).toEqual([
      'sync',
      'synced 133169152, 67108864 bytes',
      'sync',
      'synced 267386880, 134217728 bytes',
      'sync',
      'synced 270532608, 135266304 bytes',
    ])
    // The last write before a sync is part of it.
    const first = operations.indexOf('sync')
    expect(operations[first - 1]).toBe('write 1048576 at 132120576')
  })

  test('ends at an abort, and the file is closed', async () => {
    const { length, operations } = await run([new Uint8Array(MIB)], AbortSignal.abort(new Error('cancelled')))
    expect([length, operations]).toEqual(['Error: cancelled', ['open /export create', 'close']])
  })
})
