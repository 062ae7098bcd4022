// What the routes of upload links bear from somebody who has the address: requests that stay open, and names and headers that are too long.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { createBodySlots, REQUESTS_MAX, REQUESTS_PER_LINK_MAX } from '../../../bot/gateway/body-slots.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import { startGateway } from '../../support/agents/gateway.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'
import { openTestBot } from '../fixture.ts'

setDefaultTimeout(60_000)

const TUS = { 'tus-resumable': '1.0.0' }

describe('places for requests', () => {
  test('are as many for one link as its limit, and come back', () => {
    const slots = createBodySlots()
    const taken = Array.from({ length: REQUESTS_PER_LINK_MAX }, () => slots.take('a'))
    expect(taken.every((slot) => slot !== undefined)).toBe(true)
    expect([slots.take('a'), slots.take('b') === undefined]).toEqual([undefined, false])
    taken[0]?.[Symbol.dispose]()
    expect([slots.take('a') === undefined, slots.take('a')]).toEqual([false, undefined])
  })

  test('are as many for all links as their limit', () => {
    const slots = createBodySlots()
    for (let i = 0; i < REQUESTS_MAX; i++) expect(slots.take(`link ${i}`)).toBeDefined()
    expect(slots.take('one more')).toBeUndefined()
  })
})

test('bodies of one link that stay open hold up no other, and lengths of names and headers are bounded', async () => {
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path)
  using bot = openTestBot(folder.file('home'))
  bot.fleet.registry.add({ name: 'edge-a', url: agent.url, token: TEST_ADMIN_TOKEN, zone: 'zone-1', provider: 'local', storeId: null }, 0)
  await using gateway = startGateway(bot)
  const page = await gateway.page('edge-a', agent.client)
  const create = (at: string, more: Readonly<Record<string, string>> = {}): Promise<Response> =>
    fetch(`${at}/files`, { method: 'POST', headers: { ...TUS, 'upload-length': '1000', ...more } })

  // A creation whose body never comes holds its place until its client goes.
  const open: Socket[] = []
  for (let i = 0; i < REQUESTS_PER_LINK_MAX; i++) {
    const socket = connect(gateway.port, '127.0.0.1')
    socket.on('error', () => {})
    const lines = [`POST ${new URL(page).pathname}/files HTTP/1.1`, 'Host: 127.0.0.1', 'Content-Length: 1000', 'Upload-Length: 1000']
    socket.write([...lines, 'Tus-Resumable: 1.0.0', 'Content-Type: application/offset+octet-stream', '', 'x'].join('\r\n'))
    open.push(socket)
  }
  // The link creates one upload, whose body stays open; the other creations are refused and leave their places.
  await until('the upload has begun', async () => (await agent.client.uploads.list()).items.length === 1)
  expect((await create(page)).status).toBe(403)
  expect((await create(await gateway.page('edge-a', agent.client))).status).toBe(201)
  for (const socket of open) socket.destroy()

  const other = await gateway.page('edge-a', agent.client)
  for (const secret of ['x'.repeat(4000), `slu_${'x'.repeat(44)}`]) expect((await fetch(`${gateway.origin}/u/${secret}`)).status).toBe(403)
  const long = (bytes: number): Record<string, string> => ({ 'upload-metadata': `filename ${btoa('x'.repeat(bytes))}` })
  for (const bytes of [5000, 12_000]) {
    const refused = await create(other, long(bytes))
    expect([bytes, refused.status >= 400 && refused.status < 500]).toEqual([bytes, true])
  }
  expect((await create(other, { 'upload-metadata': 'a'.repeat(200_000) }).catch(() => ({ status: 431 }))).status).toBe(431)
  expect((await create(other, long(100))).status).toBe(201)
})
