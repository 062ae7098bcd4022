// Exports through a catalogue, a slice store and real files, with tasks in memory.

import { describe, expect, test } from 'bun:test'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ConversionTarget, Export } from '../../../protocol/images/export.ts'
import type { Image } from '../../../protocol/images/image.ts'
import type { Task } from '../../../protocol/task.ts'
import type { Exports } from '../../../agent/contract/exports.ts'
import type { Space } from '../../../agent/contract/space.ts'
import { createConverter } from '../../../agent/convert/converter.ts'
import { openExports } from '../../../agent/exports/exports.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { createMemoryTasks } from '../../support/memory/memory-state.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import type { ImageStore } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'

const MIB = 1024 * 1024
/** Random bytes, a hole of 8 MiB, and random bytes. */
const BYTES = Buffer.concat([seededBytes(300_000, 1), new Uint8Array(8 * MIB + 21_936), seededBytes(100_000, 2)])

interface Stage extends AsyncDisposable {
  readonly folder: TemporaryFolder
  readonly store: ImageStore
  readonly exports: Exports
  /** Bytes promised under each key. */
  readonly promised: Map<string, number>
  /** Runs an export to its end. */
  run(image: Image, as?: ConversionTarget): Promise<{ task: Task; made: Export | undefined }>
  /** Opens the exports again, as the next start of the agent would. */
  reopen(): Promise<Exports>
  path(...parts: string[]): string
}

async function openStage(freeBytes = 1e12): Promise<Stage> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const store = stack.use(await openImageStore(folder))
  mkdirSync(join(store.mount, 'exports'), { recursive: true })
  mkdirSync(join(store.mount, 'quarantine'), { recursive: true })
  const promised = new Map<string, number>()
  const space: Pick<Space, 'promise' | 'state'> = {
    async promise(key, bytes) {
      if (bytes > freeBytes) return false
      promised.set(key, bytes)
      return true
    },
    state: async () => ({ totalBytes: 1e13, freeBytes, reservedBytes: 0, promisedBytes: 0, availableBytes: freeBytes }),
  }
  const open = async () => {
    const tasks = createMemoryTasks(systemClock)
    const exports = await openExports({
      disk: store.disk,
      clock: systemClock,
      log: createMemoryLog(),
      emit: (event) => void store.events.push(event),
      crashPoint: () => {},
      mount: store.mount,
      images: store.catalogue,
      converter: createConverter({ slices: store.slices, clock: systemClock }),
      space,
      tasks,
    })
    return { tasks, exports }
  }
  const { tasks, exports } = await open()
  const owned = stack.move()
  return {
    folder,
    store,
    exports,
    promised,
    async run(image, as) {
      const { id } = await exports.start({ image, as, createdBy: 'ann' })
      const task = await tasks.ended(id)
      return { task, made: exports.list().find((one) => one.image === image.id) }
    },
    reopen: async () => (await open()).exports,
    path: (...parts) => join(store.mount, 'exports', ...parts),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

describe('an export', () => {
  test('is the file as it was uploaded, with holes, and leaves no other file', async () => {
    await using stage = await openStage()
    const image = await stage.store.add(BYTES, { name: 'debian-12' })
    const { task, made } = await stage.run(image)
    expect(task.result).toEqual({ exportId: made?.id, name: 'debian-12.raw', path: 'exports/debian-12.raw', length: BYTES.length })
    expect(made).toMatchObject({
      image: image.id,
      imageName: 'debian-12',
      as: null,
      state: 'ready',
      name: 'debian-12.raw',
      path: 'exports/debian-12.raw',
      length: BYTES.length,
      task: task.id,
      createdBy: 'ann',
    })
    expect(readFileSync(stage.path('debian-12.raw')).equals(BYTES)).toBe(true)
    expect(statSync(stage.path('debian-12.raw')).blocks * 512).toBeLessThan(MIB)
    expect(readdirSync(stage.path()).toSorted()).toEqual(['.slipway', 'debian-12.raw'])
    expect(readdirSync(stage.path('.slipway'))).toEqual([`${made?.id}.json`])
    expect([...stage.promised.values()]).toEqual([0])
    expect(stage.store.events.at(-1)).toMatchObject({
      type: 'export.ready',
      subject: image.id,
      actor: 'ann',
      message: expect.stringContaining('exports/debian-12.raw'),
    })
  })

  test('is converted, and has the name of the format', async () => {
    await using stage = await openStage()
    const image = await stage.store.add(BYTES, { name: 'debian-12.raw' })
    const { made } = await stage.run(image, 'qcow2')
    expect(made).toMatchObject({ as: 'qcow2', name: 'debian-12.qcow2', length: statSync(stage.path('debian-12.qcow2')).size })
    expect(readFileSync(stage.path('debian-12.qcow2')).subarray(0, 4).toString('latin1')).toBe('QFI\u00fb')
    const other = await stage.store.add(seededBytes(100_000, 3), { name: 'other' })
    const vmdk = await stage.run(other, 'vmdk')
    expect(vmdk.made).toMatchObject({ name: 'other.vmdk', length: statSync(stage.path('other.vmdk')).size })
  })

  test('is refused while the image has one, and allowed again when that is deleted', async () => {
    await using stage = await openStage()
    const image = await stage.store.add(BYTES, { name: 'once' })
    const { made } = await stage.run(image)
    const again = stage.exports.start({ image, as: 'qcow2', createdBy: 'bob' })
    expect(again).rejects.toMatchObject({
      code: 'already-exported',
      message: 'Image once was exported as exports/once.raw.',
      problem: { export: made?.id, exports: `/v1/exports?image=${image.id}` },
      headers: { Link: `</v1/exports?image=${image.id}>; rel="related"` },
    })
    await stage.exports.delete(made?.id ?? '', 'bob')
    expect(existsSync(stage.path('once.raw'))).toBe(false)
    expect(readdirSync(stage.path('.slipway'))).toEqual([])
    expect(stage.store.events.at(-1)).toMatchObject({ type: 'export.deleted', actor: 'bob' })
    expect((await stage.run(image, 'qcow2')).made?.name).toBe('once.qcow2')
    expect(stage.exports.delete('exp_unknown', 'bob')).rejects.toMatchObject({ code: 'not-found' })
  })

  test('of one image is started once by many requests at the same time', async () => {
    await using stage = await openStage()
    const image = await stage.store.add(BYTES)
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => stage.exports.start({ image, createdBy: 'ann' })))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  test('has a plan, which changes nothing and says what speaks against it', async () => {
    await using stage = await openStage(5e6)
    const image = await stage.store.add(BYTES, { name: 'planned' })
    const space = { availableBytes: 5_000_000 }
    expect(await stage.exports.plan({ image })).toEqual({
      dryRun: true,
      image: image.id,
      imageName: 'planned',
      as: null,
      path: 'exports/planned.raw',
      length: BYTES.length,
      space: { ...space, neededBytes: 405_552 },
      objections: [],
    })
    expect(await stage.exports.plan({ image, as: 'vmdk' })).toMatchObject({ as: 'vmdk', path: 'exports/planned.vmdk', length: null, objections: [] })
    expect(stage.exports.list()).toEqual([])
    expect(readdirSync(stage.path('.slipway'))).toEqual([])
    expect([...stage.promised]).toEqual([])
    const large = await stage.store.add(seededBytes(6_000_000, 3), { name: 'large' })
    await stage.run(image)
    const objectionsOf = async (one: Image) => (await stage.exports.plan({ image: one })).objections
    expect(await objectionsOf(image)).toEqual(['Image planned was exported as exports/planned.raw.'])
    expect(await objectionsOf(large)).toEqual([expect.stringMatching(/^The export of large takes up to 6.0 MB, and 5.0 MB are free above the reserve\.$/)])
  })

  test('never replaces a file that is there', async () => {
    await using stage = await openStage()
    writeFileSync(stage.path('disk.raw'), 'mine')
    writeFileSync(stage.path('disk (2).raw'), '')
    const image = await stage.store.add(BYTES, { name: 'disk' })
    expect((await stage.run(image)).made?.name).toBe('disk (3).raw')
    expect(readFileSync(stage.path('disk.raw'), 'utf8')).toBe('mine')
    expect(readFileSync(stage.path('disk (2).raw'), 'utf8')).toBe('')
  })

  test('is refused before it starts when the file does not fit above the reserve', async () => {
    await using stage = await openStage(400_000)
    const image = await stage.store.add(BYTES, { name: 'large' })
    // The tables of a qcow2 are what does not fit.
    expect(stage.exports.start({ image, as: 'qcow2', createdBy: 'ann' })).rejects.toMatchObject({
      code: 'insufficient-storage',
      message: expect.stringContaining('The export of large takes up to'),
    })
    expect(stage.exports.list()).toEqual([])
    expect(readdirSync(stage.path('.slipway'))).toEqual([])
  })

  test('that fails leaves nothing, and the image can be exported again', async () => {
    await using broken = await openStage()
    const other = await broken.store.add(seededBytes(900_000, 4), { name: 'broken' })
    const packs = join(broken.store.mount, 'packs')
    const [pack] = [...new Bun.Glob('**/*').scanSync(packs)]
    const bytes = readFileSync(`${packs}/${pack}`)
    bytes[bytes.length - 100_000] = (bytes[bytes.length - 100_000] ?? 0) ^ 1
    writeFileSync(`${packs}/${pack}`, bytes)
    const { task, made } = await broken.run(other)
    expect(task).toMatchObject({ state: 'failed' })
    expect(made).toBeUndefined()
    expect(readdirSync(broken.path())).toEqual(['.slipway'])
    expect(readdirSync(broken.path('.slipway'))).toEqual([])
  })

  test('does not delete a file that somebody put in its place', async () => {
    await using stage = await openStage()
    const image = await stage.store.add(BYTES, { name: 'replaced' })
    const { made } = await stage.run(image)
    writeFileSync(stage.path('replaced.raw'), 'another file')
    await stage.exports.delete(made?.id ?? '', 'ann')
    expect(readFileSync(stage.path('replaced.raw'), 'utf8')).toBe('another file')
    expect(stage.exports.list()).toEqual([])
  })
})

describe('the next start', () => {
  /** Writes a record as a crash at some step would leave it. */
  const leave = (stage: Stage, stage_: string, more: Partial<Record<string, unknown>> = {}): string => {
    const id = 'exp_0123456789abcdefghjkmnpqrs'
    const record = {
      format: 1,
      id,
      image: 'img_0123456789abcdefghjkmnpqrs',
      imageName: 'left',
      as: null,
      stage: stage_,
      name: 'left.raw',
      length: null,
      task: null,
      createdBy: 'ann',
      createdAt: '2026-01-01T00:00:00.000Z',
      readyAt: null,
      ...more,
    }
    mkdirSync(stage.path('.slipway'), { recursive: true })
    writeFileSync(stage.path('.slipway', `${id}.json`), JSON.stringify(record))
    return id
  }

  test('keeps complete exports, on another node too', async () => {
    await using stage = await openStage()
    const image = await stage.store.add(BYTES, { name: 'kept' })
    const { made } = await stage.run(image)
    expect((await stage.reopen()).list()).toEqual([made as Export])
  })

  test('removes an unfinished export whose task is gone, with its part', async () => {
    await using stage = await openStage()
    const id = leave(stage, 'writing')
    writeFileSync(stage.path('.slipway', `${id}.part`), 'half')
    writeFileSync(stage.path('.slipway', `.${id}.json.1.0.tmp`), 'half')
    expect((await stage.reopen()).list()).toEqual([])
    expect(readdirSync(stage.path('.slipway'))).toEqual([])
  })

  test('completes an export whose file had its name already', async () => {
    await using stage = await openStage()
    leave(stage, 'placing', { length: 4 })
    writeFileSync(stage.path('left.raw'), 'done')
    expect((await stage.reopen()).list()).toMatchObject([{ state: 'ready', name: 'left.raw', length: 4 }])
    expect((await stage.reopen()).list()).toMatchObject([{ state: 'ready' }])
  })

  test('removes the empty file that held the name, and no other', async () => {
    await using stage = await openStage()
    const id = leave(stage, 'placing', { length: 4 })
    writeFileSync(stage.path('.slipway', `${id}.part`), 'done')
    writeFileSync(stage.path('left.raw'), '')
    expect((await stage.reopen()).list()).toEqual([])
    expect(readdirSync(stage.path())).toEqual(['.slipway'])

    leave(stage, 'placing', { length: 4 })
    writeFileSync(stage.path('.slipway', `${id}.part`), 'done')
    writeFileSync(stage.path('left.raw'), 'not ours')
    expect((await stage.reopen()).list()).toEqual([])
    expect(readFileSync(stage.path('left.raw'), 'utf8')).toBe('not ours')
  })

  test('ends a deletion', async () => {
    await using stage = await openStage()
    leave(stage, 'deleting', { length: 4 })
    writeFileSync(stage.path('left.raw'), 'done')
    expect((await stage.reopen()).list()).toEqual([])
    expect(readdirSync(stage.path())).toEqual(['.slipway'])
  })

  test('moves a damaged record to quarantine', async () => {
    await using stage = await openStage()
    const id = leave(stage, 'no such stage')
    expect((await stage.reopen()).list()).toEqual([])
    expect(readdirSync(join(stage.store.mount, 'quarantine'))).toEqual([`export.${id}.json`])
  })

  test('believes no record that leads out of the folder', async () => {
    await using stage = await openStage()
    const id = leave(stage, 'deleting', { name: '../store.json', length: 4 })
    writeFileSync(join(stage.store.mount, 'store.json'), 'mine')
    await stage.reopen()
    expect(readFileSync(join(stage.store.mount, 'store.json'), 'utf8')).toBe('mine')
    expect(readdirSync(join(stage.store.mount, 'quarantine'))).toEqual([`export.${id}.json`])
  })
})
