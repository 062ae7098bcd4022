// Whose images a renewed grant between stores goes on to cover: only those that exist and that its creator may share at that moment.

import { expect, test } from 'bun:test'
import type { SyncGrantOrder } from '../../../../agent/access/sync-grants.ts'
import type { Actor } from '../../../../agent/contract/access.ts'
import type { CallContext } from '../../../../agent/http/route.ts'
import { syncGrantRoutes } from '../../../../agent/http/routes/sync-grants.ts'
import type { Role } from '../../../../protocol/access.ts'
import type { Right } from '../../../../protocol/images/grant.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { memoryImage } from '../../../support/memory/memory-image.ts'

const ASKED = `img_${'1'.repeat(26)}`
const EARLIER = `img_${'2'.repeat(26)}`
const granting = (...rights: Right[]): Partial<Image> => ({ owner: 'bob', grants: [{ subject: 'user:ann', rights }] })

test.each([
  ['operator', 'an image of everybody', {}, true],
  ['operator', 'a hidden image', { hidden: true }, true],
  ['operator', 'an image that does not exist any more', undefined, false],
  ['uploader', 'an image of their own', { owner: 'ann' }, true],
  ['uploader', 'an image that they may change', granting('read', 'manage'), true],
  ['uploader', 'an image that they may only read', granting('read'), false],
  ['uploader', 'an image of somebody else that everybody sees', { owner: 'bob' }, false],
  ['uploader', 'a hidden image of somebody else', { owner: 'bob', hidden: true }, false],
] as const satisfies readonly (readonly [Role, string, Partial<Image> | undefined, boolean])[])(
  'an %s shares %s of an earlier grant: %p',
  async (role, _what, members, isShared) => {
    const asked = memoryImage({ id: ASKED, owner: 'ann' })
    const earlier = members === undefined ? [] : [memoryImage({ id: EARLIER, ...members })]
    const orders: SyncGrantOrder[] = []
    const create = async (order: SyncGrantOrder) => {
      orders.push(order)
      return { id: 'grt_1', token: 'x' } as never
    }
    const [route] = syncGrantRoutes({ images: { named: (id) => (id === ASKED ? [asked] : earlier) }, grants: { create } })
    if (!route) throw new Error('there is no route')
    const actor: Partial<Actor> = { role, name: 'ann', subject: 'ann', groups: [] }
    const body = JSON.stringify({ images: [ASKED], hours: 1 })
    const request = new Request('http://localhost/v1/sync/grants', {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json', 'content-length': String(body.length) },
    })
    await route.handle(request, {}, { actor } as CallContext)
    expect(orders.map(({ images, isShareable }) => [images, isShareable?.(EARLIER)])).toEqual([[[ASKED], isShared]])
  },
)
