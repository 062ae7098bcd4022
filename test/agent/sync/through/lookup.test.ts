// Which answers of origins a look-up believes, and what it says when it cannot know.

import { describe, expect, test } from 'bun:test'
import type { KnownOrigin, Origin, Origins } from '../../../../agent/contract/origins.ts'
import { ABSENT_MAX, ABSENT_MS, createLookup } from '../../../../agent/sync/through/lookup.ts'
import { createAgentClient } from '../../../../protocol/client/client.ts'
import type { Fetch } from '../../../../protocol/client/exchange.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { blankImage } from '../../../../agent/images/records/image-file.ts'

const ID = `img_${'1'.repeat(26)}`
const MANIFEST = `sha256:${'a'.repeat(64)}`
const CONTENT = `sha256:${'b'.repeat(64)}`
const OTHER = `sha256:${'c'.repeat(64)}`
const IMAGE: Image = { ...blankImage({ id: ID, name: 'debian', status: 'available', length: 1000 }, 0), manifestDigest: MANIFEST, digest: CONTENT }

const notFound = (): Response =>
  Response.json(
    { type: 'urn:slipway:problem:not-found', title: 'Not found', status: 404, detail: 'No such image.', action: '' },
    { status: 404, headers: { 'content-type': 'application/problem+json' } },
  )

/** Origins that answer every question so, in order. */
function lookupAt(answers: readonly (() => Response)[], state: Origin['state'] = 'reachable') {
  const clock = createManualClock()
  const asked: string[] = []
  const noted: string[] = []
  const all = answers.map((answer, i): KnownOrigin => {
    const url = `http://origin-${i}.test`
    const send: Fetch = async (address) => {
      asked.push(`${i} ${decodeURIComponent(new URL(address).pathname)}`)
      return answer()
    }
    return {
      kind: 'origin',
      name: `origin-${i}`,
      url,
      state,
      storeId: String(i),
      version: 2,
      client: createAgentClient({ baseUrl: url, token: 't', fetch: send }),
    }
  })
  const origins: Origins = {
    list: () => all,
    usable: async () => all,
    answered: ({ name }) => void noted.push(`${name} answered`),
    failed: ({ name }) => void noted.push(`${name} failed`),
    onReachable: () => ({ [Symbol.dispose]() {} }),
    [Symbol.dispose]() {},
  }
  return { clock, asked, noted, find: createLookup({ clock, origins }) }
}

const says =
  (changes: Partial<Image> = {}) =>
  (): Response =>
    Response.json({ ...IMAGE, ...changes })

describe('an answer is believed', () => {
  test.each([ID, MANIFEST, CONTENT])('that is about %s', async (asked) => {
    const { find, noted } = lookupAt([says()])
    expect((await find(asked))?.image.id).toBe(ID)
    expect(noted).toEqual(['origin-0 answered'])
  })

  test('about a degraded image, whose slices other stores may have', async () => {
    expect((await lookupAt([says({ status: 'degraded' })]).find(ID))?.image.status).toBe('degraded')
  })
})

describe('an answer is not believed', () => {
  test.each([
    ['about another image than the id', ID, { id: `img_${'2'.repeat(26)}` }],
    ['about an image that has this digest neither as content nor as manifest', OTHER, {}],
    ['about an image without a manifest', ID, { manifestDigest: null }],
    ['about a deleted image', ID, { status: 'deleted' }],
    ['about an image that is being uploaded', ID, { status: 'uploading' }],
    ['about an image in error', ID, { status: 'error' }],
  ] satisfies readonly [string, string, Partial<Image>][])('%s', async (_title, asked, changes) => {
    expect(await lookupAt([says(changes)]).find(asked)).toBeUndefined()
  })
})

test('the next origin is asked for what one lacks, and the first that has it is used', async () => {
  const { find, asked } = lookupAt([notFound, says(), says()])
  expect((await find(ID))?.origin.name).toBe('origin-1')
  expect(asked).toEqual([`0 /v1/images/${ID}`, `1 /v1/images/${ID}`])
})

describe('whether an image is absent', () => {
  const broken = (): Response => new Response('<html>', { status: 502 })

  test('is not known while an origin fails, and the next question is asked again', async () => {
    const { find, asked, noted } = lookupAt([notFound, broken])
    const error = await find(ID).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'origin-unreachable' })
    expect(String(error)).toContain(`This store does not have image ${ID}, and not every origin that may have it answered.`)
    expect(noted.at(-1)).toBe('origin-1 failed')
    await find(ID).catch(() => {})
    expect(asked).toHaveLength(4)
  })

  test.each(['unreachable', 'unknown'] as const)('is not known while an origin is %s', async (state) => {
    expect(
      await lookupAt([notFound], state)
        .find(ID)
        .catch((error: unknown) => error),
    ).toMatchObject({ code: 'origin-unreachable' })
  })

  test('does not matter when an origin has it', async () => {
    expect((await lookupAt([broken, says()]).find(ID))?.image.id).toBe(ID)
  })

  test('is remembered for half a minute, for 4,096 ids, of which the oldest is forgotten', async () => {
    expect([ABSENT_MS, ABSENT_MAX]).toEqual([30_000, 4096])
    const { find, asked, clock } = lookupAt([notFound])
    const ref = (n: number): string => `img_${String(n).padStart(26, '0')}`
    for (let n = 0; n < ABSENT_MAX; n++) await find(ref(n))
    expect(asked).toHaveLength(4096)
    await find(ref(0))
    expect(asked).toHaveLength(4096)
    // One more: the first one is forgotten, the second is not.
    await find(ref(5000))
    await find(ref(1))
    expect(asked).toHaveLength(4097)
    await find(ref(0))
    expect(asked).toHaveLength(4098)
    clock.advance(29_999)
    await find(ref(5000))
    expect(asked).toHaveLength(4098)
    clock.advance(1)
    await find(ref(5000))
    expect(asked).toHaveLength(4099)
  })
})

test('what can be no image is not asked for', async () => {
  const { find, asked } = lookupAt([says()])
  for (const ref of ['debian', 'img_1', 'sha256:12', `SHA256:${'a'.repeat(64)}`, `sha256:${'a'.repeat(65)}`, `sha256:${'A'.repeat(64)}`])
    expect(await find(ref)).toBeUndefined()
  expect(asked).toEqual([])
  expect(await lookupAt([]).find(ID)).toBeUndefined()
})
