// What the background work of a store does for uploads: it publishes whole ones that could not be published, and gives the others their space.

import { describe, expect, test } from 'bun:test'
import { readdir } from 'node:fs/promises'
import type { Disk } from '../../../agent/contract/disk.ts'
import type { ImagePublisher } from '../../../agent/contract/images.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { createSpace } from '../../../agent/system/space.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { create, patch, someBytes } from '../../support/clients/upload-requests.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import type { UploadServer } from '../../support/agents/upload-server.ts'
import { until } from '../../support/until.ts'

const MIB = 1_048_576
const idOf = (url: string): string => url.split('/').at(-1) ?? ''

/** A disk whose upload.json cannot be read while `isBroken`. */
function createUnreadableDisk(): { readonly disk: Disk; isBroken: boolean } {
  const disk = createDisk()
  const made = {
    isBroken: false,
    disk: {
      ...disk,
      async readFile(path: string, lengthMax: number) {
        if (made.isBroken && path.endsWith('/upload.json')) throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' })
        return disk.readFile(path, lengthMax)
      },
    },
  }
  return made
}

/** Restarts the uploads, and ends those before, so that only one recovery has the clock. */
async function stopAndStart(server: UploadServer): Promise<void> {
  await server.uploads.stop()
  await server.restart()
}

describe('an upload that has all its bytes', () => {
  test('is tried every minute, reported once, and reported again after it was an image in between', async () => {
    const clock = createManualClock()
    await using server = await startUploadServer({ clock })
    server.publisher.failure = new Error('the disk is full')
    const url = await create(server, 100)
    expect((await patch(server, url, 0, someBytes(100))).status).toBe(500)
    await stopAndStart(server)
    await server.uploads.settled()
    expect(server.publisher.calls).toHaveLength(2)
    clock.advance(59_999)
    await server.uploads.settled()
    expect(server.publisher.calls).toHaveLength(2)
    clock.advance(1)
    await server.uploads.settled()
    expect(server.publisher.calls).toHaveLength(3)
    const id = idOf(url)
    expect(server.events.filter(({ type }) => type === 'upload.waiting')).toEqual([
      {
        type: 'upload.waiting',
        severity: 'warning',
        subject: id,
        message: expect.stringMatching(
          new RegExp(`^Upload ${id} has all its bytes but cannot become an image yet: .* The agent retries every minute; nothing is lost\\.$`),
        ),
      },
    ])
    expect(server.log.lines.filter(({ message }) => message === 'upload could not be published; it is retried')).toHaveLength(2)
    server.publisher.failure = undefined
    clock.advance(60_000)
    await server.uploads.settled()
    expect(server.publisher.images.size).toBe(1)
    clock.advance(60_000)
    await server.uploads.settled()
    expect(server.publisher.calls).toHaveLength(4)
  })

  test('is published without a request, also when it could not be read at the start', async () => {
    const clock = createManualClock()
    const broken = createUnreadableDisk()
    await using server = await startUploadServer({ clock, disk: broken.disk })
    server.publisher.failure = new Error('killed')
    const url = await create(server, 100)
    await patch(server, url, 0, someBytes(100))
    server.publisher.failure = undefined
    broken.isBroken = true
    await stopAndStart(server)
    await server.uploads.settled()
    expect([server.uploads.presence(idOf(url)), server.publisher.images.size]).toEqual(['unknown', 0])
    expect(server.log.lines.map(({ message }) => message)).toContain('upload still cannot be read')
    broken.isBroken = false
    clock.advance(60_000)
    await server.uploads.settled()
    expect([server.uploads.presence(idOf(url)), server.publisher.images.size]).toEqual(['published', 1])
  })

  test('is left to the next start when the agent stops, which does not wait for it', async () => {
    await using server = await startUploadServer()
    server.publisher.failure = new Error('killed')
    const url = await create(server, 100)
    await patch(server, url, 0, someBytes(100))
    server.publisher.failure = undefined
    const { publish } = server.publisher
    let signal: AbortSignal | undefined
    const endless: ImagePublisher['publish'] = (_image, content) => {
      signal = content.signal
      return new Promise((_resolve, reject) => content.signal?.addEventListener('abort', () => reject(content.signal?.reason)))
    }
    server.publisher.publish = endless
    await stopAndStart(server)
    await until('the upload is being published', () => signal !== undefined)
    await server.uploads.stop()
    expect(signal?.aborted).toBe(true)
    expect(server.events.map(({ type }) => type)).not.toContain('upload.waiting')
    server.publisher.publish = publish
    await stopAndStart(server)
    await server.uploads.settled()
    expect(server.uploads.presence(idOf(url))).toBe('published')
  })

  test('is not tried while it is a part whose last slice is there', async () => {
    const clock = createManualClock()
    await using server = await startUploadServer({ clock })
    const url = await create(server, 100, { 'Upload-Concat': 'partial' })
    await patch(server, url, 0, someBytes(100))
    await stopAndStart(server)
    clock.advance(60_000)
    await server.uploads.settled()
    expect([server.publisher.calls, server.uploads.presence(idOf(url))]).toEqual([[], 'unfinished'])
  })
})

describe('a start', () => {
  test('promises unfinished uploads their space again', async () => {
    const clock = createManualClock()
    const disk = { space: async () => ({ totalBytes: 8 * MIB, freeBytes: 8 * MIB }) }
    const account = () => createSpace({ disk, clock, mount: '/', reservedBytes: () => 0 })
    await using server = await startUploadServer({ clock, space: account() })
    const url = await create(server, 3 * MIB)
    await patch(server, url, 0, someBytes(MIB))
    const space = account()
    await server.restart({ space })
    // 2 MiB are missing, and each of the 16 slices that are there has an entry of 40 bytes in the manifest.
    expect((await space.state()).promisedBytes).toBe(2 * MIB + 640)
  })

  test('goes on when an upload cannot be restored, which is logged', async () => {
    await using server = await startUploadServer()
    await create(server, 1000)
    const disk = { space: () => Promise.reject(Object.assign(new Error('EIO: statfs'), { code: 'EIO' })) }
    await server.restart({ space: createSpace({ disk, clock: createManualClock(), mount: '/', reservedBytes: () => 0 }) })
    expect(server.log.lines.map(({ level, message }) => `${level} ${message}`)).toContain('error upload could not be restored')
    expect(await readdir(server.folder)).toHaveLength(1)
  })
})
