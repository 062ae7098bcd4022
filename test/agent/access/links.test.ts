// Links: which methods they open, and what they leave in the events.

import { describe, expect, test } from 'bun:test'
import { openLinks } from '../../../agent/access/links.ts'
import type { LinkOrder } from '../../../agent/access/links.ts'
import type { NewEvent } from '../../../agent/contract/work.ts'
import type { Token } from '../../../protocol/access.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryKeptValues } from '../../support/memory/memory-state.ts'

const MAKER = { name: 'maker', role: 'uploader', tokenId: 'tok_1' } as const
const TOKEN: Token = {
  id: 'tok_1',
  name: 'maker',
  role: 'uploader',
  subject: 'ann',
  groups: ['ops'],
  grant: null,
  createdAt: '2026-01-01T00:00:00.000Z',
  expiresAt: null,
  lastUsedAt: null,
}
const UPLOAD: LinkOrder = { kind: 'upload', ttlSeconds: 60 }
const DOWNLOAD: LinkOrder = { kind: 'download', ttlSeconds: 60, image: 'img_1' }

async function open() {
  const kept = createMemoryKeptValues()
  const clock = createManualClock()
  const events: NewEvent[] = []
  const links = await openLinks({ kept, clock, emit: (event) => void events.push(event), findToken: () => TOKEN })
  const check = async (order: LinkOrder, method: string, path: string): Promise<string> => {
    const made = await links.create(order, MAKER)
    const outcome = await links.check(new URL(made.path, 'http://localhost').searchParams.get('link') ?? '', { method, path })
    return outcome.kind === 'allowed' ? 'allowed' : outcome.detail
  }
  return { links, kept, clock, events, check }
}

test('a link for an export allows its file only', async () => {
  const { check, links } = await open()
  const order = { kind: 'download', image: 'img_1', export: 'exp_1', ttlSeconds: 60 } as const
  expect(await check(order, 'GET', '/v1/exports/exp_1/content')).toBe('allowed')
  expect(await check(order, 'HEAD', '/v1/exports/exp_1/content')).toBe('allowed')
  expect(await check(order, 'GET', '/v1/exports/exp_2/content')).toBe('The link is for another export.')
  expect(await check(order, 'GET', '/v1/images/img_1/content')).toBe('The link is for another export.')
  expect(await check(order, 'DELETE', '/v1/exports/exp_1/content')).toBe('The link does not allow DELETE.')
  const made = await links.create(order, MAKER)
  expect(made.path).toStartWith('/v1/exports/exp_1/content?link=')
})

describe('a download link', () => {
  test.each([
    ['GET', '/v1/images/img_1/content', 'allowed'],
    ['HEAD', '/v1/images/img_1/content', 'allowed'],
    ['PUT', '/v1/images/img_1/content', 'The link does not allow PUT.'],
    ['DELETE', '/v1/images/img_1/content', 'The link does not allow DELETE.'],
    ['GET', '/v1/images/img_2/content', 'The link is for another image.'],
    ['GET', '/v1/images/img_1', 'The link is for another image.'],
  ])('%s %s: %s', async (method, path, answer) => {
    const { check } = await open()
    expect(await check(DOWNLOAD, method, path)).toBe(answer)
  })

  test('acts as a viewer, for the user and groups of the token that created it', async () => {
    const { links } = await open()
    const made = await links.create(DOWNLOAD, MAKER)
    const link = new URL(made.path, 'http://localhost').searchParams.get('link') ?? ''
    expect(await links.check(link, { method: 'GET', path: '/v1/images/img_1/content' })).toMatchObject({
      kind: 'allowed',
      actor: { name: 'maker', role: 'viewer', link: { image: 'img_1', makerTokenId: 'tok_1', maker: { role: 'uploader', subject: 'ann', groups: ['ops'] } } },
    })
  })
})

describe('an upload link', () => {
  test.each([
    ['POST', '/v1/uploads', 'allowed'],
    ['GET', '/v1/uploads', 'allowed'],
    ['HEAD', '/v1/uploads', 'allowed'],
    ['PATCH', '/v1/uploads', 'The link does not allow PATCH here.'],
    ['PATCH', '/v1/uploads/upl_1', 'The link is for another upload.'],
    ['GET', '/v1/images/img_1/content', 'The link is for another upload.'],
  ])('that made no upload: %s %s: %s', async (method, path, answer) => {
    const { check } = await open()
    expect(await check(UPLOAD, method, path)).toBe(answer)
  })
})

test('a link that was made is an event without the link in it', async () => {
  const { links, events, clock } = await open()
  const made = await links.create(DOWNLOAD, MAKER)
  expect(events).toMatchObject([{ type: 'link.created', severity: 'info', actor: 'maker', details: { kind: 'download', image: 'img_1' } }])
  expect(JSON.stringify(events)).not.toContain(made.path.split('link=')[1])
  expect(made.expiresAt).toBe(new Date(clock.nowMs() + 60_000).toISOString())
})
