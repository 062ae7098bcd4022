// Media groups through HTTP: who sees a hidden group and its images. The rights themselves are in test/agent/access/image-rights.test.ts, and that
// every route answers a hidden image like a missing one in hidden-images.test.ts.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { formatDigest } from '../../../protocol/slices/digest.ts'
import type { Image } from '../../../protocol/images/image.ts'
import type { Page } from '../../../protocol/page.ts'
import { manifestOf } from '../../support/images/whole-manifest.ts'
import { openAccessStage } from './access/access-stage.ts'
import type { AccessStage, User } from './access/access-stage.ts'

setDefaultTimeout(60_000)

let stage: AccessStage
let ann: User
let bob: User
let operator: User
let ofAnn: Image
let granted: Image
let nobodys: Image

beforeAll(async () => {
  stage = await openAccessStage()
  ann = await stage.user({ name: 'ann', role: 'uploader', subject: 'ann' })
  bob = await stage.user({ name: 'bob', role: 'uploader', subject: 'bob' })
  operator = await stage.user({ name: 'op', role: 'operator' })
  ofAnn = await stage.upload(ann, 'of-ann', { seed: 1, metadata: { mediaGroup: 'lab' } })
  granted = await stage.upload(stage.admin, 'granted', { seed: 2, metadata: { mediaGroup: 'lab' } })
  nobodys = await stage.upload(stage.admin, 'nobodys', { seed: 3, metadata: { mediaGroup: 'lab' } })
  await stage.admin.ask('PUT', `/v1/images/${granted.id}/grants/user:bob`, { set: ['read'] })
}, 60_000)

afterAll(() => stage[Symbol.asyncDispose]())

async function namesOf(user: User): Promise<string[]> {
  return ((await user.ask('GET', '/v1/images?sort=name')).json as Page<Image>).items.map(({ name }) => name)
}

async function groupsOf(user: User): Promise<unknown[]> {
  return ((await user.ask('GET', '/v1/media-groups')).json as Page<unknown>).items
}

describe('a media group', () => {
  test('is visible with the images that each user may see', async () => {
    expect(await namesOf(ann)).toEqual(['nobodys', 'of-ann'])
    expect(await groupsOf(ann)).toEqual([{ name: 'lab', description: '', visible: true, images: 2 }])
    expect(await groupsOf(bob)).toEqual([{ name: 'lab', description: '', visible: true, images: 3 }])
  })

  test('is created, changed and deleted by operators', async () => {
    expect((await bob.ask('POST', '/v1/media-groups', { name: 'x' })).code).toBe('forbidden')
    const created = await operator.ask('POST', '/v1/media-groups', { name: ' empty ', visible: false })
    expect([created.status, created.json]).toEqual([201, { name: 'empty', description: '', visible: false, images: 0 }])
    expect((await operator.ask('POST', '/v1/media-groups', { name: 'empty' })).code).toBe('conflict')
    expect((await operator.ask('POST', '/v1/media-groups', { name: '' })).status).toBe(400)
    expect((await operator.ask('PATCH', '/v1/media-groups/empty', {})).status).toBe(400)
    // A hidden group without images is there for operators only.
    expect(await groupsOf(bob)).toEqual([{ name: 'lab', description: '', visible: true, images: 3 }])
    expect(await groupsOf(operator)).toMatchObject([{ name: 'empty' }, { name: 'lab', images: 3 }])
    expect((await operator.ask('DELETE', '/v1/media-groups/empty')).status).toBe(204)
    expect((await operator.ask('DELETE', '/v1/media-groups/empty')).code).toBe('not-found')
    const refused = await operator.ask('DELETE', '/v1/media-groups/lab')
    expect([refused.code, (refused.json as { detail: string }).detail]).toEqual(['conflict', '3 images are in the media group lab, the recycle bin included.'])
  })

  test('that is hidden shows its images to their owners, those named in a grant, and operators', async () => {
    const manifest = await manifestOf(stage.table.parts.catalogue, nobodys.id)
    const digests = [formatDigest(manifest.digestAt(0))]
    const link = (await ann.ask('POST', '/v1/links', { kind: 'download', image: nobodys.id, ttlSeconds: 600 })).json as { url: string }
    const path = new URL(link.url, 'http://agent').pathname + new URL(link.url, 'http://agent').search
    expect((await stage.nobody.ask('GET', path)).status).toBe(200)
    await stage.table.parts.visibility.settled()
    expect((await ann.ask('POST', '/v1/slices/missing', { digests })).json).toEqual({ missing: [] })

    const hidden = await operator.ask('PATCH', '/v1/media-groups/lab', { visible: false, name: 'backroom' })
    expect([hidden.status, hidden.json]).toEqual([200, { name: 'backroom', description: '', visible: false, images: 3 }])

    expect(await namesOf(operator)).toEqual(['granted', 'nobodys', 'of-ann'])
    expect(await namesOf(ann)).toEqual(['of-ann'])
    expect(await namesOf(bob)).toEqual(['granted'])
    expect(await groupsOf(ann)).toEqual([{ name: 'backroom', description: '', visible: false, images: 1 }])
    const stranger = await stage.user({ name: 'eve', role: 'viewer', subject: 'eve' })
    expect([await namesOf(stranger), await groupsOf(stranger)]).toEqual([[], []])
    for (const [user, image] of [
      [ann, nobodys],
      [bob, nobodys],
      [bob, ofAnn],
      [stranger, ofAnn],
    ] as const) {
      for (const rest of ['', '/content', '/manifest', '/content?as=raw'])
        expect([rest, (await user.ask('GET', `/v1/images/${image.id}${rest}`)).code]).toEqual([rest, 'not-found'])
      expect((await user.ask('PATCH', `/v1/images/${image.name}`, { description: 'x' })).code).toBe('not-found')
      expect((await user.ask('POST', '/v1/links', { kind: 'download', image: image.id })).code).toBe(user === stranger ? 'forbidden' : 'not-found')
    }
    expect((await ann.ask('POST', '/v1/slices/missing', { digests })).json).toEqual({ missing: digests })
    // The link ends with the right of its creator.
    expect((await stage.nobody.ask('GET', path)).code).toBe('not-found')
    expect((await ann.ask('GET', `/v1/images/${ofAnn.id}`)).json).toMatchObject({ mediaGroup: 'backroom', hidden: true })

    expect((await operator.ask('PATCH', '/v1/media-groups/backroom', { visible: true })).status).toBe(200)
    expect(await namesOf(ann)).toEqual(['nobodys', 'of-ann'])
  })

  test('hides an upload in progress from other users too', async () => {
    await operator.ask('POST', '/v1/media-groups', { name: 'drafts', visible: false })
    const headers = { 'tus-resumable': '1.0.0', 'upload-length': '1000', 'upload-metadata': `name ${btoa('coming')},mediaGroup ${btoa('drafts')}` }
    expect((await ann.ask('POST', '/v1/uploads', undefined, headers)).status).toBe(201)
    expect((await ann.ask('GET', '/v1/images/coming')).json).toMatchObject({ status: 'uploading', mediaGroup: 'drafts', hidden: true })
    expect((await bob.ask('GET', '/v1/images/coming')).code).toBe('not-found')
    expect((await operator.ask('DELETE', '/v1/media-groups/drafts')).code).toBe('conflict')
  })
})
