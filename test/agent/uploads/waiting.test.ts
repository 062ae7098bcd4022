// Time limits of requests that wait for a lock and of bodies without bytes. The test advances the clock.

import { describe, expect, test } from 'bun:test'
import type { ImagePublisher } from '../../../agent/contract/images.ts'
import { Wire } from '../../conformance/tus/wire.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryPublisher } from '../../support/memory/memory-publisher.ts'
import { until } from '../../support/until.ts'
import { create, OFFSET, patch, someBytes } from '../../support/clients/upload-requests.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import type { UploadServer } from '../../support/agents/upload-server.ts'

describe('waiting', () => {
  const send = async (server: UploadServer, url: string, body: Uint8Array<ArrayBuffer>, length: number): Promise<Wire> => {
    const wire = await Wire.open(server.endpoint)
    const headers = { Authorization: 'Bearer admin-secret', 'Tus-Resumable': '1.0.0', ...OFFSET, 'Upload-Offset': '0' }
    await wire.send({ method: 'PATCH', url: new URL(url, server.endpoint).href, headers, body }, length)
    return wire
  }

  test('a request for an upload whose lock is not released within ten seconds gets 423, and succeeds once it is released', async () => {
    const clock = createManualClock()
    const publisher = createMemoryPublisher()
    const held = Promise.withResolvers<void>()
    const publish: ImagePublisher['publish'] = async (image, content) => {
      await held.promise
      return publisher.publish(image, content)
    }
    await using server = await startUploadServer({ clock, publisher: { ...publisher, publish } })
    const url = await create(server, 100)
    const finishing = patch(server, url, 0, someBytes(100))
    await until('the upload is being published', () => server.uploads.stats().receiving === 0 && server.slices.writtenBytes === 100)
    for (const headers of [{}, { 'Tus-Resumable': null, 'Upload-Draft-Interop-Version': '6' }]) {
      const asking = server.ask('HEAD', url, headers)
      await clock.untilSleeping(1)
      clock.advance(10_000)
      const refused = await asking
      expect([refused.status, refused.headers.get('upload-offset')]).toEqual([423, null])
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    }
    held.resolve()
    expect((await finishing).status).toBe(204)
    expect((await server.ask('HEAD', url)).headers.get('content-location')).toMatch(/^\/v1\/images\/img_/)
  })

  test('a body without bytes for a minute gets 408 with its offset, and every byte restarts the minute', async () => {
    const clock = createManualClock()
    await using server = await startUploadServer({ clock })
    const url = await create(server, 200_000)
    using wire = await send(server, url, someBytes(100_000), 200_000)
    await until('the bytes are taken', () => server.slices.writtenBytes === 100_000)
    clock.advance(59_000)
    await wire.write(someBytes(70_000))
    await until('more bytes are taken', () => server.slices.writtenBytes >= 170_000)
    clock.advance(59_000)
    expect(server.uploads.stats().receiving).toBe(1)
    clock.advance(2_000)
    const answer = await wire.answer('PATCH')
    expect([answer.status, answer.headers.get('upload-offset'), answer.headers.get('connection')]).toEqual([408, '170000', 'close'])
    expect((await patch(server, url, 170_000, someBytes(30_000))).status).toBe(204)
  })
})
