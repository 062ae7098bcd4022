// The image that a name or an id means to its caller, and the right that the caller needs on it.

import { describe, expect, test } from 'bun:test'
import type { Actor } from '../../../../agent/contract/access.ts'
import { visibleImage } from '../../../../agent/http/visible/visible-image.ts'
import type { ImageAccess } from '../../../../agent/http/visible/visible-image.ts'
import type { Right } from '../../../../protocol/images/grant.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { ProblemError } from '../../../../protocol/problems.ts'
import { memoryImage } from '../../../support/memory/memory-image.ts'

const OPERATOR: Actor = { name: 'ops', role: 'operator', tokenId: 'tok_1' }
const VIEWER: Actor = { name: 'vic', role: 'viewer', tokenId: 'tok_2', subject: 'vic' }
const EDIT: ImageAccess = { role: 'operator', right: 'manage' }

const images = (...found: readonly Image[]) => ({ named: () => found })
const numbered = (count: number, changes: Partial<Image> = {}): Image[] =>
  Array.from({ length: count }, (_, i) => memoryImage({ id: `img_${i + 1}`, ...changes }))

function outcome(found: readonly Image[], actor: Actor, needed: Right | ImageAccess = 'read'): unknown {
  try {
    return visibleImage(images(...found), 'debian', actor, needed).id
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error
    return { code: error.code, ...error.problem }
  }
}

describe('a name', () => {
  test('means the only image that has it', () => {
    expect(outcome(numbered(1), VIEWER)).toBe('img_1')
    expect(outcome([], VIEWER)).toMatchObject({ code: 'not-found', detail: 'There is no image debian.' })
  })

  test('of two images is refused, with the ids of ten of them', () => {
    expect(outcome(numbered(2), VIEWER)).toMatchObject({
      code: 'conflict',
      detail: '2 images are named debian.',
      action: 'Use the id of the image you mean.',
      ids: ['img_1', 'img_2'],
    })
    expect(outcome(numbered(11), VIEWER)).toMatchObject({
      detail: '11 images are named debian.',
      ids: ['img_1', 'img_2', 'img_3', 'img_4', 'img_5', 'img_6', 'img_7', 'img_8', 'img_9', 'img_10'],
    })
  })

  test('means the image that exists before those that are still uploaded', () => {
    const [first, second] = [memoryImage({ id: 'img_1', status: 'uploading' }), memoryImage({ id: 'img_2', status: 'pending' })]
    expect(outcome([first, second, memoryImage({ id: 'img_3' })], VIEWER)).toBe('img_3')
    expect(outcome([first, second], VIEWER)).toMatchObject({ code: 'conflict', ids: ['img_1', 'img_2'] })
  })

  test('is taken by no image that the caller may not see', () => {
    const hidden = memoryImage({ id: 'img_1', grants: [{ subject: 'user:bob', rights: ['read'] }] })
    expect(outcome([hidden], VIEWER)).toMatchObject({ code: 'not-found' })
    expect(outcome([hidden, memoryImage({ id: 'img_2' })], VIEWER)).toBe('img_2')
    expect(outcome([hidden, memoryImage({ id: 'img_2' })], OPERATOR)).toMatchObject({ code: 'conflict' })
  })
})

describe('a right', () => {
  const owned = memoryImage({ id: 'img_1', owner: 'vic' })
  const granted = (...rights: Right[]): Image => memoryImage({ id: 'img_1', grants: [{ subject: 'user:vic', rights }] })

  test('that the caller has by its role, as the owner or by a grant is enough', () => {
    expect(outcome(numbered(1), VIEWER, 'export')).toBe('img_1')
    expect(outcome(numbered(1), OPERATOR, EDIT)).toBe('img_1')
    expect(outcome([owned], VIEWER, EDIT)).toBe('img_1')
    expect(outcome([granted('read', 'manage')], VIEWER, EDIT)).toBe('img_1')
  })

  test('that is open to the role is not enough where a higher role or the right by name is asked for', () => {
    const readable: ImageAccess = { role: 'operator', right: 'export' }
    expect(outcome(numbered(1), VIEWER, readable)).toMatchObject({
      code: 'forbidden',
      detail: 'This request needs the right export on image debian, or the role operator.',
      requiredRight: 'export',
      requiredRole: 'operator',
    })
    expect(outcome([granted('read', 'export')], VIEWER, readable)).toBe('img_1')
  })

  test('that is missing is named', () => {
    expect(outcome(numbered(1), VIEWER, 'manage')).toMatchObject({
      code: 'forbidden',
      detail: 'This request needs the right manage on image debian.',
      action: 'Ask the owner of the image or an operator for a grant with this right.',
      requiredRight: 'manage',
    })
    expect(outcome([granted('read')], VIEWER, 'use')).toMatchObject({ code: 'forbidden', requiredRight: 'use' })
  })
})
