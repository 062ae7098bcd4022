// What an order for a sync may hold: it is kept and shown, so an address with a secret in it is refused unrepeated.

import { describe, expect, test } from 'bun:test'
import { fetchSlicesSchema, protocolSchema, syncRequestSchema } from '../../../protocol/sync/sync.ts'

function complaintsAbout(source: { url: string; token: string }): string[] {
  const parsed = syncRequestSchema.safeParse({ source, images: ['debian'] })
  return parsed.success ? [] : parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
}

describe('the source of a sync', () => {
  test.each(['http://10.0.0.1:8420', 'https://store.example/', 'https://proxy.example/edge-a', 'http://[fd00::1]:8420'])('%s is accepted', (url) => {
    expect(complaintsAbout({ url, token: 'slp_x' })).toEqual([])
  })

  test.each([
    'https://store.example/v1/images/img_1/content?link=SECRET',
    'https://store.example/?',
    'https://store.example/#SECRET',
    'https://user:SECRET@store.example/',
    'https://SECRET@store.example/',
    'ftp://store.example/SECRET',
    'SECRET',
    `https://store.example/${'SECRET'.repeat(400)}`,
  ])('%s is refused without being quoted', (url) => {
    const complaints = complaintsAbout({ url, token: 'slp_x' })
    expect(complaints.length).toBeGreaterThan(0)
    expect(complaints.join()).toContain('source.url')
    expect(complaints.join()).not.toContain('SECRET')
  })

  test.each(['', 'a b', 'a\nb', 'a\r\nx-evil: 1', 'tökén', 'x'.repeat(513)])('a token that is not a header value is refused: %j', (token) => {
    expect(complaintsAbout({ url: 'http://10.0.0.1', token })).toEqual([
      'source.token: must be 1 to 512 printable ASCII characters without spaces or line ends',
    ])
  })
})

describe('the bounds', () => {
  const source = { url: 'http://hub:8420', token: 't' }
  const urlOf = (length: number): string => `http://hub/${'x'.repeat(length - 'http://hub/'.length)}`
  const list = <Value>(length: number, value: (i: number) => Value): Value[] => Array.from({ length }, (_unused, i) => value(i))
  const digest = `sha256:${'0'.repeat(64)}`

  test.each([
    ['1,000 images', syncRequestSchema, (n: number) => ({ source, images: list(n, () => 'i') }), 1, 1000],
    ['255 characters of an image', syncRequestSchema, (n: number) => ({ source, images: ['x'.repeat(n)] }), 1, 255],
    ['8 sources', syncRequestSchema, (n: number) => ({ sources: list(n, (i) => ({ ...source, url: `http://hub-${i}` })), images: ['i'] }), 1, 8],
    ['2,048 characters of an address', syncRequestSchema, (n: number) => ({ source: { ...source, url: urlOf(n) }, images: ['i'] }), 20, 2048],
    ['512 characters of a token', syncRequestSchema, (n: number) => ({ source: { ...source, token: 'x'.repeat(n) }, images: ['i'] }), 1, 512],
    ['64 versions', protocolSchema, (n: number) => ({ sync: list(n, (i) => i + 1) }), 1, 64],
    ['256 characters of a key', protocolSchema, (n: number) => ({ sync: [1], key: 'x'.repeat(n) }), 0, 256],
    ['64 characters of the image of slices', fetchSlicesSchema, (n: number) => ({ digests: [digest], image: 'x'.repeat(n) }), 1, 64],
  ] as const)('%s are accepted, and no more', (_name, schema, make, least, most) => {
    const isAccepted = (n: number): boolean => schema.safeParse(make(n)).success
    expect([isAccepted(least), isAccepted(most), isAccepted(most + 1)]).toEqual([true, true, false])
    if (least === 1) expect(isAccepted(0)).toBe(false)
  })
})
