// Uploads in progress: their state with its reason, who sees them, and the images that they will become.

import { describe, expect, test } from 'bun:test'
import { stateOf } from '../../../agent/uploads/in-progress.ts'
import type { UploadFacts } from '../../../agent/uploads/in-progress.ts'
import type { Actor } from '../../../agent/contract/access.ts'
import { problemCode, ProblemError } from '../../../protocol/problems.ts'
import type { Upload } from '../../../protocol/upload.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import type { UploadServer } from '../../support/agents/upload-server.ts'
import { create, patch, someBytes } from '../../support/clients/upload-requests.ts'
import { until } from '../../support/until.ts'

const NOW = Date.parse('2026-03-01T12:00:00.000Z')
const ANN: Actor = { name: 'ann', role: 'uploader', tokenId: 'tok_2' }
const BOB: Actor = { name: 'bob', role: 'uploader', tokenId: 'tok_3' }
const OPERATOR: Actor = { name: 'ops', role: 'operator', tokenId: 'tok_8' }
const ADMIN: Actor = { name: 'root', role: 'admin', tokenId: 'tok_1' }

function facts(changes: Partial<UploadFacts>): UploadFacts {
  return {
    kind: 'whole',
    offset: 40_000_000,
    length: 100_000_000,
    isWhole: false,
    activeAtMs: NOW,
    endMs: NOW + 3_600_000,
    waitingSinceMs: null,
    concurrency: 1,
    taskId: null,
    ...changes,
  }
}

describe('the state of an upload', () => {
  test.each([
    ['just created', { offset: 0 }, 'uploading', '0 B of 100 MB have arrived. It becomes an image when the last byte has arrived.'],
    ['with bytes 9.999 s ago', { activeAtMs: NOW - 9999 }, 'uploading', '40 MB of 100 MB have arrived.'],
    ['with a clock that was set back', { activeAtMs: NOW + 60_000 }, 'uploading', '40 MB of 100 MB have arrived.'],
    [
      'without bytes for 10 s',
      { activeAtMs: NOW - 10_000 },
      'pending',
      '40 MB of 100 MB have arrived, none since 2026-03-01T11:59:50.000Z. It waits for its client to continue from byte 40000000, until it expires at 2026-03-01T13:00:00.000Z, or cancel it with upload cancel.',
    ],
    [
      'that waits for a slot',
      { waitingSinceMs: NOW - 5000 },
      'pending',
      '40 MB of 100 MB have arrived. It waits for another upload to end since 2026-03-01T11:59:55.000Z (transfer.upload-concurrency is 1), and then continues by itself.',
    ],
    ['of unknown length', { length: null }, 'uploading', '40 MB have arrived. It becomes an image when the last byte has arrived.'],
    ['with all bytes', { isWhole: true }, 'pending', 'All 40 MB have arrived. The agent makes an image of them'],
    ['that is a whole part', { isWhole: true, kind: 'partial' }, 'pending', 'It waits to be concatenated, until it expires at 2026-03-01T13:00:00.000Z.'],
    ['that a task fills', { activeAtMs: NOW - 60_000, taskId: 'tsk_1', endMs: null }, 'pending', 'Task tsk_1 fetches its bytes'],
  ] as const)('%s', (_, changes, state, reason) => {
    const seen = stateOf(facts(changes), NOW)
    expect(seen.state).toBe(state)
    expect(seen.stateReason).toContain(reason)
  })
})

async function list(server: UploadServer, token: string, query = ''): Promise<{ items: Upload[]; next: string | null }> {
  const response = await server.ask('GET', `/v1/uploads${query}`, { Authorization: `Bearer ${token}`, 'Tus-Resumable': null })
  expect(response.status).toBe(200)
  return (await response.json()) as { items: Upload[]; next: string | null }
}

function idOf(url: string): string {
  return url.split('/').at(-1) ?? ''
}

describe('GET /v1/uploads', () => {
  test('lists the uploads of the token newest first, and all of them for operators', async () => {
    await using server = await startUploadServer()
    const as = (token: string) => ({ Authorization: `Bearer ${token}` })
    const metadata = `name ${btoa('disk')},device ${btoa('laptop')},owner ${btoa('web')}`
    const first = idOf(await create(server, 1000, { ...as('ann-secret'), 'Upload-Metadata': metadata }))
    await patch(server, `/v1/uploads/${first}`, 0, someBytes(100), as('ann-secret'))
    const second = idOf(await create(server, 1000, as('bob-secret')))
    const part = idOf(await create(server, 1000, { ...as('ann-secret'), 'Upload-Concat': 'partial' }))

    const mine = await list(server, 'ann-secret')
    expect(mine.items.map(({ id }) => id)).toEqual([part, first])
    expect(mine.items[1]).toMatchObject({
      kind: 'whole',
      state: 'uploading',
      offset: 100,
      length: 1000,
      name: 'disk',
      device: 'laptop',
      owner: 'web',
      creator: 'ann',
    })
    expect(mine.items[0]).toMatchObject({ kind: 'partial', imageId: null, name: null })
    expect((await list(server, 'admin-secret')).items.map(({ id }) => id)).toEqual([part, second, first])
    expect((await list(server, 'viewer-secret')).items).toEqual([])
    expect((await list(server, 'other-ann-secret')).items).toEqual([])

    const page = await list(server, 'admin-secret', '?limit=2')
    expect([page.items.map(({ id }) => id), page.next]).toEqual([[part, second], second])
    expect((await list(server, 'admin-secret', `?limit=2&cursor=${second}`)).items.map(({ id }) => id)).toEqual([first])
    expect((await list(server, 'admin-secret', '?state=pending')).items).toEqual([])

    await patch(server, `/v1/uploads/${first}`, 100, someBytes(900), as('ann-secret'))
    expect((await list(server, 'admin-secret')).items.map(({ id }) => id)).toEqual([part, second])
  })

  test('shows one as JSON to a client that asks for it', async () => {
    await using server = await startUploadServer()
    const url = await create(server, 1000, { Authorization: 'Bearer ann-secret' })
    const json = { 'Tus-Resumable': null, Accept: 'application/json' }
    const shown = await server.ask('GET', url, { ...json, Authorization: 'Bearer ann-secret' })
    expect([shown.status, await shown.json()]).toMatchObject([200, { id: idOf(url), offset: 0, state: 'uploading' }])
    expect((await server.ask('GET', url, { ...json, Authorization: 'Bearer bob-secret' })).status).toBe(404)
    expect((await server.ask('GET', url, { 'Tus-Resumable': null })).status).toBe(409)
  })

  test('says that an upload waits for a slot, and how fast another one is', async () => {
    await using server = await startUploadServer()
    const send = async (chunks: number) => {
      const url = await create(server, 100_000_000)
      let sent = 0
      const body = new ReadableStream<Uint8Array>({
        async pull(controller) {
          if (sent++ < chunks) controller.enqueue(someBytes(400_000))
          await Bun.sleep(20)
        },
      })
      void server.ask('PATCH', url, { 'Upload-Offset': '0', 'Content-Type': 'application/offset+octet-stream' }, body).catch(() => {})
      return idOf(url)
    }
    const stateById = (id: string) => [...server.uploads.inProgress.all()].find((upload) => upload.id === id)
    const first = await send(400)
    const sending = await until('the first has a rate', () => [stateById(first)].find((upload) => (upload?.rate ?? 0) > 0))
    const { offset, rate, etaSeconds } = sending
    expect(etaSeconds).toBe(Math.round((100_000_000 - offset) / rate))
    const second = await send(400)
    await until('the second waits', () => stateById(second)?.state === 'pending')
    expect(stateById(second)?.stateReason).toContain('transfer.upload-concurrency is 1')
    expect(stateById(first)).toMatchObject({ state: 'uploading' })
    for (const id of [first, second]) await server.uploads.remove(id, ADMIN)
  })
})

describe('the image of an upload', () => {
  test('has the id that it keeps, and none for a part', async () => {
    await using server = await startUploadServer()
    const url = await create(server, 10, { Authorization: 'Bearer ann-secret', 'Upload-Metadata': `name ${btoa('disk')}` })
    await create(server, 10, { 'Upload-Concat': 'partial' })
    const { inProgress } = server.uploads
    const [image, ...more] = [...inProgress.images()]
    expect(more).toEqual([])
    expect(image).toMatchObject({ state: 'uploading', length: 10, image: { draft: { name: 'disk' }, source: { kind: 'upload', uploadId: idOf(url) } } })
    const id = image?.image.id ?? ''
    expect(inProgress.image(id)?.image.id).toBe(id)
    expect(inProgress.image('img_none')).toBeUndefined()
    await patch(server, url, 0, someBytes(10), { Authorization: 'Bearer ann-secret' })
    expect(server.publisher.find(id)).toBeDefined()
    expect([inProgress.image(id), [...inProgress.images()]]).toEqual([undefined, []])
    expect(await inProgress.cancelImage(id, ADMIN)).toEqual({ kind: 'absent' })
  })

  test('is cancelled by the token that uploads it and by administrators, and by no one else', async () => {
    await using server = await startUploadServer()
    const { inProgress } = server.uploads
    const begin = async (): Promise<string> => {
      await create(server, 10, { Authorization: 'Bearer ann-secret' })
      return [...inProgress.images()][0]?.image.id ?? ''
    }
    const codeOf = async (id: string, actor: Actor): Promise<string> => {
      try {
        return (await inProgress.cancelImage(id, actor)).kind
      } catch (error) {
        if (error instanceof ProblemError) return problemCode(error.problem)
        throw error
      }
    }
    const id = await begin()
    expect([await codeOf(id, BOB), await codeOf(id, OPERATOR)]).toEqual(['forbidden', 'forbidden'])
    expect([...inProgress.images()]).toHaveLength(1)
    expect([await codeOf(id, ANN), await codeOf(id, ANN)]).toEqual(['cancelled', 'absent'])
    expect(await codeOf(await begin(), ADMIN)).toBe('cancelled')
    expect([...inProgress.images()]).toEqual([])
  })
})
