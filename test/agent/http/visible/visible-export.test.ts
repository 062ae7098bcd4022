// Who sees an export, and who may do what with it.

import { describe, expect, test } from 'bun:test'
import type { Actor, LinkRight } from '../../../../agent/contract/access.ts'
import { isSeen, visibleExport } from '../../../../agent/http/visible/visible-export.ts'
import { ROLES } from '../../../../protocol/access.ts'
import type { Export } from '../../../../protocol/images/export.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import type { ProblemError } from '../../../../protocol/problems.ts'
import { memoryImage } from '../../../support/memory/memory-image.ts'

const HIDDEN = memoryImage({ id: 'img_1', name: 'debian', grants: [{ subject: 'user:bob', rights: ['read'] }] })
const EXPORT: Export = {
  id: 'exp_1',
  image: 'img_1',
  imageName: 'debian',
  as: null,
  state: 'ready',
  name: 'debian.raw',
  path: 'exports/debian.raw',
  length: 10,
  task: null,
  createdBy: 'ops',
  createdAt: '2026-01-01T00:00:00.000Z',
  readyAt: '2026-01-01T00:00:00.000Z',
}

const imagesOf = (image: Image | undefined) => ({
  find: (id: string) => (image?.id === id ? image : undefined),
  named: (text: string) => (image && [image.id, image.name].includes(text) ? [image] : []),
})
const actorOf = (role: Actor['role'], subject: string): Actor => ({ name: subject, role, tokenId: 'tok_1', subject })

/** A link for `shown`, made by somebody of this role. */
function linkOf(role: Actor['role'], shown: Pick<LinkRight, 'image' | 'export'>): Actor {
  const maker = { role, subject: 'maker' }
  return { name: 'maker', role: 'viewer', link: { id: 'lnk_1', makerTokenId: 'tok_9', maker, kind: 'download', endMs: 1, ...shown } }
}

describe('an export is seen', () => {
  test('as its image is', () => {
    expect(isSeen(imagesOf(memoryImage({ id: 'img_1' })), EXPORT, actorOf('viewer', 'vic'))).toBe(true)
    expect(isSeen(imagesOf(HIDDEN), EXPORT, actorOf('viewer', 'bob'))).toBe(true)
    expect(isSeen(imagesOf(HIDDEN), EXPORT, actorOf('uploader', 'vic'))).toBe(false)
  })

  test('by operators and admins only once its image is gone', () => {
    const seers = ROLES.filter((role) => isSeen(imagesOf(undefined), EXPORT, actorOf(role, 'ann')))
    expect([...seers].toSorted()).toEqual(['admin', 'operator'])
    const makers = ROLES.filter((role) => isSeen(imagesOf(undefined), EXPORT, linkOf(role, { image: 'img_1', export: 'exp_1' })))
    expect([...makers].toSorted()).toEqual(['admin', 'operator'])
  })

  test('by a link that was made for it, and not by the link of another one', () => {
    const seen = (shown: Pick<LinkRight, 'image' | 'export'>): boolean => isSeen(imagesOf(memoryImage({ id: 'img_1' })), EXPORT, linkOf('admin', shown))
    expect(seen({ image: 'img_1', export: 'exp_1' })).toBe(true)
    expect(seen({ image: 'img_1', export: 'exp_2' })).toBe(false)
  })
})

test('an export that is not seen is refused as one that does not exist, and one that is seen by the right that is missing', () => {
  const outcome = (id: string, image: Image | undefined, actor: Actor): string => {
    try {
      return visibleExport({ exports: { find: (wanted) => (wanted === 'exp_1' ? EXPORT : undefined) }, images: imagesOf(image) }, id, actor, 'export').id
    } catch (error) {
      const { code, problem } = error as ProblemError
      return `${code}: ${problem.detail}`
    }
  }
  expect(outcome('exp_1', HIDDEN, actorOf('operator', 'ops'))).toBe('exp_1')
  expect(outcome('exp_1', undefined, actorOf('operator', 'ops'))).toBe('exp_1')
  expect(outcome('exp_1', HIDDEN, actorOf('viewer', 'bob'))).toStartWith('forbidden: ')
  expect(outcome('exp_1', HIDDEN, actorOf('viewer', 'vic'))).toBe('not-found: There is no export exp_1.')
  expect(outcome('exp_1', undefined, actorOf('viewer', 'bob'))).toBe('not-found: There is no export exp_1.')
  expect(outcome('exp_2', HIDDEN, actorOf('operator', 'ops'))).toBe('not-found: There is no export exp_2.')
})
