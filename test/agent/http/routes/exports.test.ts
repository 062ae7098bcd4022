// Exports over HTTP, with users who may and may not.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Export } from '../../../../protocol/images/export.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import type { Page } from '../../../../protocol/page.ts'
import type { Task } from '../../../../protocol/task.ts'
import { seededBytes } from '../../../support/images/image-store.ts'
import { openAccessStage } from '../access/access-stage.ts'
import type { AccessStage, Answer, User } from '../access/access-stage.ts'

// Inspections and digests on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

let stage: AccessStage
let operator: User
let viewer: User
/** May see the image of each test, and read it, but not export it. */
let reader: User
/** May export the image of each test. */
let exporter: User
let image: Image
let count = 0

beforeAll(async () => {
  stage = await openAccessStage()
  operator = await stage.user({ name: 'the operator', role: 'operator' })
  viewer = await stage.user({ name: 'the viewer', role: 'viewer' })
  reader = await stage.user({ name: 'ann', role: 'viewer', subject: 'ann' })
  exporter = await stage.user({ name: 'bob', role: 'uploader', subject: 'bob' })
})

afterAll(() => stage[Symbol.asyncDispose]())

/** Uploads an image that only ann and bob may see. */
async function freshImage(): Promise<Image> {
  count++
  image = await stage.upload(stage.admin, `image-${count}`, { seed: count })
  await stage.admin.ask('PUT', `/v1/images/${image.id}/grants/user:ann`, { set: ['read'] })
  await stage.admin.ask('PUT', `/v1/images/${image.id}/grants/user:bob`, { set: ['read', 'use', 'export'] })
  return image
}

/** Exports the image and returns the export when it is ready. */
async function exported(by: User, body: unknown = {}): Promise<Export> {
  const answer = await by.ask('POST', `/v1/images/${image.id}/exports`, body)
  expect([answer.status, answer.text]).toEqual([202, answer.text])
  const task = answer.json as Task
  expect(answer.headers.get('location')).toBe(`/v1/tasks/${task.id}`)
  expect(task).toMatchObject({ kind: 'export', subject: image.id })
  const ended = await stage.table.parts.tasks.ended(task.id)
  expect([ended.state, ended.error]).toEqual(['succeeded', undefined])
  return (await by.ask('GET', `/v1/exports/${String(ended.result?.['exportId'])}`)).json as Export
}

async function listed(by: User, query = ''): Promise<Export[]> {
  return ((await by.ask('GET', `/v1/exports${query}`)).json as Page<Export>).items
}

describe('/v1/exports', () => {
  test('shows, lists, sends and deletes an export', async () => {
    await freshImage()
    const bytes = seededBytes(200_000, count)
    const planned = await operator.ask('POST', `/v1/images/${image.id}/exports`, { dryRun: true })
    expect([planned.status, planned.headers.get('location'), await listed(operator, `?image=${image.id}`)]).toEqual([200, null, []])
    const made = await exported(operator)
    expect(made).toMatchObject({
      image: image.id,
      imageName: image.name,
      as: null,
      state: 'ready',
      name: `${image.name}.raw`,
      length: 200_000,
      createdBy: 'the operator',
    })
    expect(await listed(operator, `?image=${image.id}`)).toEqual([made])
    expect(await listed(operator, `?image=${image.name}`)).toEqual([made])
    expect(await listed(operator, '?image=other')).toEqual([])

    const content = `/v1/exports/${made.id}/content`
    const whole = await stage.table.app.request(content, { headers: { authorization: await secret() } })
    expect(whole.headers.get('content-length')).toBe('200000')
    expect(whole.headers.get('content-disposition')).toBe(`attachment; filename="${image.name}.raw"; filename*=UTF-8''${image.name}.raw`)
    expect(Buffer.from(await whole.arrayBuffer()).equals(bytes)).toBe(true)
    const etag = whole.headers.get('etag') ?? ''
    expect(etag).toMatch(/^"[^"]+"$/)
    const part = await operator.ask('GET', content, undefined, { range: 'bytes=100-199', 'if-range': etag })
    expect([part.status, part.headers.get('content-range')]).toEqual([206, 'bytes 100-199/200000'])
    expect((await operator.ask('GET', content, undefined, { 'if-none-match': etag })).status).toBe(304)
    expect((await operator.ask('GET', content, undefined, { 'if-match': '"other"' })).status).toBe(412)
    expect((await operator.ask('GET', content, undefined, { range: 'bytes=200000-' })).status).toBe(416)
    const head = await operator.ask('HEAD', content)
    expect([head.status, head.headers.get('content-length'), head.text]).toEqual([200, '200000', ''])

    const again = await operator.ask('POST', `/v1/images/${image.id}/exports`, { as: 'qcow2' })
    expect([again.status, again.code]).toEqual([409, 'already-exported'])
    expect(again.json).toMatchObject({ export: made.id, exports: `/v1/exports?image=${image.id}` })
    expect(again.headers.get('link')).toBe(`</v1/exports?image=${image.id}>; rel="related"`)

    expect((await operator.ask('DELETE', `/v1/exports/${made.id}`)).status).toBe(204)
    expect((await operator.ask('GET', `/v1/exports/${made.id}`)).code).toBe('not-found')
    expect((await operator.ask('DELETE', `/v1/exports/${made.id}`)).code).toBe('not-found')
    expect((await exported(operator, { as: 'vhd' })).name).toBe(`${image.name}.vhd`)
  })

  test('refuses other formats, unknown members, and images that are not available', async () => {
    await freshImage()
    const post = (body: unknown, id = image.id): Promise<Answer> => operator.ask('POST', `/v1/images/${id}/exports`, body)
    expect((await post({ as: 'vdi' })).code).toBe('invalid-input')
    expect((await post({ format: 'qcow2' })).code).toBe('invalid-input')
    expect((await post({}, 'img_0123456789abcdefghjkmnpqrs')).code).toBe('not-found')
    await stage.admin.ask('DELETE', `/v1/images/${image.id}`)
    expect((await post({})).code).toBe('wrong-status')
    expect(await listed(operator, `?image=${image.id}`)).toEqual([])
  })

  test('says that the file of an export is gone', async () => {
    await freshImage()
    const made = await exported(operator)
    const file = join(mount(), made.path)
    expect(readFileSync(file).length).toBe(200_000)
    writeFileSync(file, 'replaced')
    const answer = await operator.ask('GET', `/v1/exports/${made.id}/content`)
    expect([answer.status, answer.code]).toEqual([404, 'not-found'])
    expect(answer.text).toContain('was removed or replaced')
  })

  test('keeps an export whose image was deleted, for operators only', async () => {
    await freshImage()
    const made = await exported(exporter)
    await stage.admin.ask('DELETE', `/v1/images/${image.id}?permanent=true`)
    expect((await exporter.ask('GET', `/v1/exports/${made.id}`)).code).toBe('not-found')
    expect(await listed(exporter, `?image=${image.id}`)).toEqual([])
    expect((await operator.ask('GET', `/v1/exports/${made.id}/content`)).status).toBe(200)
    expect((await operator.ask('DELETE', `/v1/exports/${made.id}`)).status).toBe(204)
  })
})

describe('the right to export', () => {
  test('is needed to export, to download and to delete', async () => {
    await freshImage()
    expect((await reader.ask('POST', `/v1/images/${image.id}/exports`, {})).code).toBe('forbidden')
    expect((await viewer.ask('POST', `/v1/images/${image.id}/exports`, {})).status).toBe(403)
    const made = await exported(exporter, { as: 'qcow2' })
    expect((await reader.ask('GET', `/v1/exports/${made.id}`)).status).toBe(200)
    expect(await listed(reader, `?image=${image.id}`)).toEqual([made])
    for (const method of ['GET', 'HEAD']) expect((await reader.ask(method, `/v1/exports/${made.id}/content`)).status).toBe(403)
    expect((await reader.ask('DELETE', `/v1/exports/${made.id}`)).code).toBe('forbidden')
    expect((await reader.ask('GET', `/v1/images/${image.id}/content?as=raw`)).code).toBe('forbidden')
    expect((await exporter.ask('GET', `/v1/exports/${made.id}/content`)).status).toBe(200)
    expect((await exporter.ask('DELETE', `/v1/exports/${made.id}`)).status).toBe(204)
  })

  test('of nobody else shows that there is an export', async () => {
    await freshImage()
    const made = await exported(operator)
    const missing = 'exp_0123456789abcdefghjkmnpqrs'
    for (const [method, suffix] of [
      ['GET', ''],
      ['HEAD', ''],
      ['DELETE', ''],
      ['GET', '/content'],
      ['HEAD', '/content'],
    ] as const) {
      const [there, none] = [await viewer.ask(method, `/v1/exports/${made.id}${suffix}`), await viewer.ask(method, `/v1/exports/${missing}${suffix}`)]
      const plain = ({ status, text }: Answer): unknown => [
        status,
        text
          .replaceAll(made.id, 'ID')
          .replaceAll(missing, 'ID')
          .replaceAll(/"requestId":"[^"]*"/g, ''),
      ]
      expect([method, suffix, plain(there)]).toEqual([method, suffix, plain(none)])
    }
    expect(await listed(viewer, `?image=${image.id}`)).toEqual([])
  })

  test('is passed on by a link to the file alone', async () => {
    await freshImage()
    const made = await exported(operator)
    expect((await reader.ask('POST', '/v1/links', { kind: 'download', export: made.id })).status).toBe(403)
    expect((await exporter.ask('POST', '/v1/links', { kind: 'download', export: 'exp_0123456789abcdefghjkmnpqrs' })).code).toBe('not-found')
    expect((await exporter.ask('POST', '/v1/links', { kind: 'download', export: made.id, image: image.id })).code).toBe('invalid-input')
    expect((await exporter.ask('POST', '/v1/links', { kind: 'download' })).code).toBe('invalid-input')
    const link = (await exporter.ask('POST', '/v1/links', { kind: 'download', export: made.id })).json as { url: string }
    const { pathname, search } = new URL(link.url)
    expect(pathname).toBe(`/v1/exports/${made.id}/content`)
    expect((await stage.nobody.ask('GET', pathname + search)).status).toBe(200)
    expect((await stage.nobody.ask('GET', `/v1/images/${image.id}/content${search}`)).status).toBe(403)
    await stage.admin.ask('PUT', `/v1/images/${image.id}/grants/user:bob`, { set: ['read', 'use'] })
    expect((await stage.nobody.ask('GET', pathname + search)).status).toBe(403)
    await stage.admin.ask('DELETE', `/v1/images/${image.id}/grants/user:bob`)
    expect((await stage.nobody.ask('GET', pathname + search)).status).toBe(404)
  })

  test('allows a converted download by the link of an image', async () => {
    await freshImage()
    const link = (await exporter.ask('POST', '/v1/links', { kind: 'download', image: image.id })).json as { url: string }
    const { pathname, search } = new URL(link.url)
    const converted = await stage.nobody.ask('GET', `${pathname}${search}&as=qcow2`)
    expect([converted.status, converted.headers.get('content-type')]).toEqual([200, 'application/x-qemu-disk'])
  })
})

/** Authorization of another operator, for answers whose bytes a test compares. */
async function secret(): Promise<string> {
  const { token } = await stage.table.parts.access.tokens.create({ name: 'bytes', role: 'operator' }, { name: 'test', role: 'admin' })
  return `Bearer ${token}`
}

function mount(): string {
  return stage.table.mount
}
