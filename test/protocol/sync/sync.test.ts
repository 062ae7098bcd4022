// What an order for a sync may hold: it is kept and shown, so an address with a secret in it is refused unrepeated.

import { describe, expect, test } from 'bun:test'
import { syncRequestSchema } from '../../../protocol/sync/sync.ts'

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
