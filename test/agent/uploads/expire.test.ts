// Which uploads a run removes, of those that have expired, and what it does with the rest. The clock is moved by hand.

import { describe, expect, test } from 'bun:test'
import { readdir } from 'node:fs/promises'
import { createDisk } from '../../../agent/system/disk.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { create, patch, someBytes } from '../../support/clients/upload-requests.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'

const HOUR = 3_600_000
const idOf = (url: string): string => url.split('/').at(-1) ?? ''

describe('a run', () => {
  test('removes the uploads that it is asked for, as far as they have expired', async () => {
    const clock = createManualClock()
    await using server = await startUploadServer({ clock, expiryMs: HOUR })
    const [first, second] = [idOf(await create(server, 10)), idOf(await create(server, 10))]
    await patch(server, `/v1/uploads/${first}`, 0, someBytes(3))
    clock.advance(HOUR - 1)
    expect(await server.uploads.expire({ ids: new Set([first, second]) })).toEqual([])
    clock.advance(1)
    expect(await server.uploads.expire({ ids: new Set([first]), dryRun: true })).toEqual([first])
    expect((await readdir(server.folder)).toSorted()).toEqual([first, second].toSorted())
    expect(server.events).toEqual([])
    expect(await server.uploads.expire({ ids: new Set([first]) })).toEqual([first])
    expect(server.events).toEqual([{ type: 'upload.expired', severity: 'info', subject: first, message: `Upload ${first} expired with 3 bytes.` }])
    expect(await readdir(server.folder)).toEqual([second])
    expect((await server.ask('HEAD', `/v1/uploads/${first}`)).status).toBe(410)
  })

  test('removes the record of an upload a period after its image was made, if the image is gone', async () => {
    const clock = createManualClock()
    await using server = await startUploadServer({ clock, expiryMs: HOUR })
    const ids: string[] = []
    for (let i = 0; i < 3; i++) {
      const url = await create(server, 10)
      const done = await patch(server, url, 0, someBytes(10, i + 1))
      if (i < 2) server.publisher.remove((done.headers.get('content-location') ?? '').slice('/v1/images/'.length))
      ids.push(idOf(url))
    }
    clock.advance(HOUR - 1)
    expect(await server.uploads.expire()).toEqual([])
    clock.advance(1)
    expect(await server.uploads.expire({ dryRun: true })).toEqual(ids.slice(0, 2))
    expect(await server.uploads.expire({ ids: new Set([ids[1] ?? '', ids[2] ?? '']) })).toEqual(ids.slice(1, 2))
    expect(await server.uploads.expire()).toEqual(ids.slice(0, 1))
    expect(await readdir(server.folder)).toEqual(ids.slice(2))
    expect(ids.map((id) => server.uploads.presence(id))).toEqual(['absent', 'absent', 'published'])
  })

  test('goes on after an upload that cannot be removed, and tries it again', async () => {
    const clock = createManualClock()
    const real = createDisk()
    let stuck = ''
    const remove = (path: string) =>
      stuck !== '' && path.includes(stuck) ? Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' })) : real.remove(path)
    await using server = await startUploadServer({ clock, expiryMs: HOUR, disk: { ...real, remove } })
    const [first, second] = [idOf(await create(server, 10)), idOf(await create(server, 10))]
    clock.advance(HOUR)
    stuck = first
    expect(await server.uploads.expire()).toEqual([second])
    expect(server.log.lines.map(({ level, message, fields }) => [level, message, fields['upload']])).toContainEqual([
      'warn',
      'expired upload could not be removed; it is retried with the next run',
      first,
    ])
    stuck = ''
    expect(await server.uploads.expire()).toEqual([first])
    expect(await readdir(server.folder)).toEqual([])
  })

  test('ends when it is told to', async () => {
    const clock = createManualClock()
    await using server = await startUploadServer({ clock, expiryMs: HOUR })
    await create(server, 10)
    clock.advance(HOUR)
    await expect(server.uploads.expire({ signal: AbortSignal.abort(new Error('the agent is stopping')) })).rejects.toThrow('the agent is stopping')
    expect(await readdir(server.folder)).toHaveLength(1)
  })

  test('ends before the records of images that are gone, too', async () => {
    const clock = createManualClock()
    await using server = await startUploadServer({ clock, expiryMs: HOUR })
    const done = await patch(server, await create(server, 10), 0, someBytes(10))
    server.publisher.remove((done.headers.get('content-location') ?? '').slice('/v1/images/'.length))
    clock.advance(HOUR)
    await expect(server.uploads.expire({ signal: AbortSignal.abort(new Error('the agent is stopping')) })).rejects.toThrow('the agent is stopping')
    expect(await readdir(server.folder)).toHaveLength(1)
  })
})

test('looking at an upload writes its renewed expiry once a 24th of the period has passed', async () => {
  const clock = createManualClock()
  let writes = 0
  const real = createDisk()
  const openWrite: typeof real.openWrite = async (path, mode) => {
    if (path.endsWith('/journal')) writes++
    return real.openWrite(path, mode)
  }
  await using server = await startUploadServer({ clock, expiryMs: 24 * HOUR, disk: { ...real, openWrite } })
  const url = await create(server, 10)
  const lookAfter = async (ms: number): Promise<number> => {
    clock.advance(ms)
    const before = writes
    expect((await server.ask('HEAD', url)).status).toBe(200)
    return writes - before
  }
  expect(await lookAfter(HOUR)).toBe(0)
  expect(await lookAfter(1)).toBe(1)
  expect(await lookAfter(HOUR)).toBe(0)
})
