// Upload links: their life compared with a model, how many there may be, who sees them, and what they say when they cannot be used.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { openUploadLinks } from '../../../agent/access/upload-links.ts'
import type { UploadLinks } from '../../../agent/access/upload-links.ts'
import type { Actor } from '../../../agent/contract/access.ts'
import type { NewEvent } from '../../../agent/contract/work.ts'
import type { Token } from '../../../protocol/access.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryKeptValues } from '../../support/memory/memory-state.ts'
import { propertyOptions } from '../../support/properties.ts'

const DAY_MS = 86_400_000
const TOKEN: Token = {
  id: 'tok_1',
  name: 'maker',
  role: 'uploader',
  subject: null,
  groups: [],
  grant: null,
  createdAt: '2026-01-01T00:00:00.000Z',
  expiresAt: null,
  lastUsedAt: null,
}
const MAKER: Actor = { name: 'ann via maker', role: 'uploader', tokenId: 'tok_1' }
const OTHER: Actor = { name: 'ben', role: 'uploader', tokenId: 'tok_2' }
const OPERATOR: Actor = { name: 'op', role: 'operator', tokenId: 'tok_3' }
const RIGHT = { makerTokenId: 'tok_1', maker: { role: 'uploader' }, kind: 'upload', endMs: 0 } as const

function open() {
  const kept = createMemoryKeptValues()
  const clock = createManualClock()
  const events: NewEvent[] = []
  const state = { isMakerValid: true }
  const start = (): UploadLinks =>
    openUploadLinks({ kept, clock, emit: (event) => void events.push(event), findToken: () => (state.isMakerValid ? TOKEN : undefined) })
  const links = start()
  let count = 0
  const create = async (by = 'tok_1', ttlMs = 60_000): Promise<{ id: string; secret: string }> => {
    const id = `lnk_${String(count++).padStart(4, '0')}`
    const path = await links.create({ id, by, byName: 'ann via maker', endMs: clock.nowMs() + ttlMs, name: 'disk', maxLength: 10 })
    return { id, secret: path.slice('/v1/uploads?link='.length) }
  }
  return { kept, clock, events, state, start, links, create }
}

/** Returns why a request is refused, or `allowed`. */
async function answerOf(links: UploadLinks, secret: string, method = 'POST', path = '/v1/uploads'): Promise<string> {
  const outcome = await links.check(secret, { method, path })
  return outcome.kind === 'allowed' ? 'allowed' : outcome.detail
}

/** What a link may be after each command, written down without the code that decides. */
interface Model {
  state: 'open' | 'used' | 'completed' | 'cancelled' | 'expired' | 'revoked'
  upload: number | undefined
  endMs: number
  nowMs: number
}

type Command = 'claim' | 'release' | 'complete' | 'cancel' | 'expire-upload' | 'revoke' | 'wait' | 'maintain' | 'restart'

function step(model: Model, command: Command, upload: number): void {
  const { state } = model
  const isMine = model.upload === upload
  if (command === 'wait') model.nowMs += 25_000
  if (state === 'open' && command === 'claim') Object.assign(model, { state: 'used', upload })
  if (state === 'open' && command === 'revoke') model.state = 'revoked'
  if (state === 'used' && isMine && command === 'release') Object.assign(model, { state: 'open', upload: undefined })
  if (state === 'used' && isMine && command === 'complete') model.state = 'completed'
  if (state === 'used' && isMine && command === 'cancel') model.state = 'cancelled'
  if (state === 'used' && isMine && command === 'expire-upload') model.state = 'expired'
  if (state === 'used' && command === 'revoke') model.state = 'revoked'
  if (state === 'revoked' && isMine && command === 'complete') model.state = 'completed'
  if (model.state === 'open' && model.nowMs >= model.endMs) model.state = 'expired'
}

test('the life of a link is that of the model, also over restarts', async () => {
  const commands: Command[] = ['claim', 'release', 'complete', 'cancel', 'expire-upload', 'revoke', 'wait', 'maintain', 'restart']
  const run = fc.array(fc.record({ command: fc.constantFrom(...commands), upload: fc.integer({ min: 1, max: 2 }) }), { maxLength: 30 })
  await fc.assert(
    fc.asyncProperty(run, async (steps) => {
      const { clock, create, start, links: first } = open()
      let links = first
      const { id, secret } = await create()
      const startMs = clock.nowMs()
      const model: Model = { state: 'open', upload: undefined, endMs: startMs + 60_000, nowMs: startMs }
      for (const { command, upload } of steps) {
        const uploadId = `upl_${upload}`
        if (command === 'claim') await links.claim({ ...RIGHT, id }, { id: uploadId, imageId: `img_${upload}` }).catch(() => false)
        else if (command === 'release') links.release(id, uploadId)
        else if (command === 'complete') links.settle(id, uploadId, 'completed')
        else if (command === 'cancel') links.settle(id, uploadId, 'cancelled')
        else if (command === 'expire-upload') links.settle(id, uploadId, 'expired')
        else if (command === 'wait') clock.advance(25_000)
        else if (command === 'maintain') links.expire()
        else if (command === 'restart') links = start()
        else {
          try {
            links.revoke(id, MAKER)
          } catch (error) {
            expect(error).toMatchObject({ code: 'wrong-status' })
          }
        }
        step(model, command, upload)
        const { state, upload: mine } = model
        expect(links.get(id, MAKER)).toMatchObject({
          state,
          uploadId: mine === undefined ? null : `upl_${mine}`,
          imageId: mine === undefined ? null : `img_${mine}`,
        })
        // It creates an upload in one state only, and opens its own upload in every state but `revoked`.
        expect([state, (await answerOf(links, secret)) === 'allowed']).toEqual([state, state === 'open'])
        for (const other of [1, 2]) {
          const mayAppend = mine === other && state !== 'revoked'
          expect([state, other, (await answerOf(links, secret, 'PATCH', `/v1/uploads/upl_${other}`)) === 'allowed']).toEqual([state, other, mayAppend])
        }
        expect([state, (await answerOf(links, secret, 'GET')) === 'allowed']).toEqual([state, ['open', 'used', 'completed'].includes(state)])
      }
    }),
    propertyOptions(150),
  )
})

describe('a link that cannot be used says why', () => {
  test.each<[string, (it: ReturnType<typeof open>, id: string) => unknown, string]>([
    ['expired', ({ clock }) => clock.advance(60_000), 'The link expired at '],
    ['revoked', ({ links }, id) => links.revoke(id, MAKER), 'The link was revoked at '],
    ['revoked with its creator', ({ state }) => (state.isMakerValid = false), 'The token that created the link has expired or was deleted.'],
    [
      'used',
      ({ links }, id) => links.claim({ ...RIGHT, id }, { id: 'upl_1', imageId: 'img_1' }),
      'The link was already used. An upload link creates one upload only.',
    ],
  ])('%s', async (_state, change, sentence) => {
    const it = open()
    const { id, secret } = await it.create()
    await change(it, id)
    expect(await answerOf(it.links, secret)).toStartWith(sentence)
  })

  test('whose upload was deleted, or has expired', async () => {
    for (const [end, sentence] of [
      ['cancelled', 'The upload of the link was deleted at '],
      ['expired', 'The upload of the link expired at '],
    ] as const) {
      const { links, create } = open()
      const { id, secret } = await create()
      await links.claim({ ...RIGHT, id }, { id: 'upl_1', imageId: 'img_1' })
      links.settle(id, 'upl_1', end)
      expect(await answerOf(links, secret)).toStartWith(sentence)
      expect(await answerOf(links, secret, 'GET')).toStartWith(sentence)
    }
  })

  test('but not for a guessed secret, which is answered like any other', async () => {
    const { links, create } = open()
    const { id, secret } = await create()
    links.revoke(id, MAKER)
    const guessed = secret.slice(0, -1) + (secret.endsWith('A') ? 'B' : 'A')
    for (const guess of [guessed, 'slu_', `slu_${'A'.repeat(43)}`]) {
      expect(await links.check(guess, { method: 'GET', path: '/v1/uploads' })).toEqual({
        kind: 'refused',
        detail: 'The link is not valid.',
        action: 'Check that the whole link was copied, or ask for a new link.',
      })
    }
  })

  test('that was revoked or expired between authentication and claim', async () => {
    const { links, create, clock } = open()
    const [revoked, late] = [await create(), await create()]
    links.revoke(revoked.id, MAKER)
    clock.advance(60_000)
    for (const { id } of [revoked, late, { id: 'lnk_none' }])
      await expect(links.claim({ ...RIGHT, id }, { id: 'upl_1', imageId: 'img_1' })).rejects.toMatchObject({ code: 'link-expired' })
  })
})

describe('upload links', () => {
  test('are kept as hashes, and their secrets are in no event and no list', async () => {
    const { kept, links, create, events } = open()
    const { id, secret } = await create()
    await links.claim({ ...RIGHT, id }, { id: 'upl_1', imageId: 'img_1' })
    links.settle(id, 'upl_1', 'completed')
    expect(secret).toMatch(/^slu_[\w-]{43}$/)
    const all = JSON.stringify([kept.read('upload-links'), links.list(MAKER), events])
    expect(all).toContain(id)
    expect(all).not.toContain(secret.slice(4))
    expect(events.map(({ type, subject, message }) => [type, subject, message])).toEqual([
      ['link.used', 'lnk_0000', 'Upload upl_1 began with the upload link of ann via maker.'],
      ['link.completed', 'lnk_0000', 'The upload became an image (upload link of ann via maker).'],
    ])
  })

  test('are seen and revoked by their creator and by operators only', async () => {
    const { links, create } = open()
    const { id } = await create()
    expect(links.list(OTHER)).toEqual([])
    expect(() => links.get(id, OTHER)).toThrow('There is no upload link')
    expect(() => links.revoke(id, OTHER)).toThrow('There is no upload link')
    const byLink: Actor = { ...MAKER, link: { ...RIGHT, id } }
    expect(links.list(byLink)).toEqual([])
    for (const actor of [MAKER, OPERATOR])
      expect(links.list(actor)).toMatchObject([{ id, state: 'open', name: 'disk', maxLength: 10, createdBy: 'ann via maker' }])
    links.revoke(id, OPERATOR)
    expect(() => links.revoke(id, OPERATOR)).toThrow('The link was revoked at ')
    expect(links.get(id, MAKER).state).toBe('revoked')
  })

  test('that expire unused are reported once, and forgotten a week later', async () => {
    const { links, create, clock, events, kept } = open()
    const { id } = await create()
    clock.advance(60_000)
    links.expire()
    links.expire()
    expect(events.map(({ type, subject }) => [type, subject])).toEqual([['link.expired', id]])
    clock.advance(7 * DAY_MS - 1)
    expect(links.list(MAKER)).toHaveLength(1)
    clock.advance(1)
    expect(links.list(MAKER)).toEqual([])
    links.expire()
    expect(kept.read('upload-links')).toEqual([])
  })

  test('are limited for each creator and in total; those that have ended make room', async () => {
    const { links, create, clock } = open()
    for (let i = 0; i < 250; i++) await create('tok_1')
    await expect(create('tok_1')).rejects.toMatchObject({ code: 'limit-reached', message: 'The token already has 250 upload links that have not ended.' })
    for (let i = 0; i < 250; i++) await create('tok_2', 3_600_000)
    await expect(create('tok_3')).rejects.toMatchObject({ code: 'limit-reached', message: 'The store already has 500 upload links.' })
    clock.advance(60_000)
    await create('tok_3')
    const left = links.list(OPERATOR)
    expect([left.length, left.filter(({ state }) => state === 'expired').length, left.filter(({ state }) => state === 'open').length]).toEqual([500, 249, 251])
  })
})
