// What of an import is stored in the open, and what is sealed.

import { expect, test } from 'bun:test'
import { filenameOf, joinSecret, splitSecret } from '../../../agent/imports/import-params.ts'

test('the query of an address and the credentials are secret, and come back', () => {
  const location = { kind: 'url', url: 'https://mirror.example/a.img?signature=s3cret#part' } as const
  const split = splitSecret(location, { username: 'ann', password: 'pa55' })
  expect(split.location).toEqual({ kind: 'url', url: 'https://mirror.example/a.img' })
  expect(JSON.stringify(split.location)).not.toContain('s3cret')
  expect(joinSecret(split.location, split.secret)).toEqual({
    location: { kind: 'url', url: 'https://mirror.example/a.img?signature=s3cret' },
    credentials: { username: 'ann', password: 'pa55' },
  })
})

test('without a secret there is nothing to seal', () => {
  const location = { kind: 'url', url: 'https://mirror.example/a.img' } as const
  expect(splitSecret(location, {})).toEqual({ location, secret: undefined })
  expect(joinSecret(location, undefined)).toEqual({ location, credentials: {} })
  expect(splitSecret({ kind: 'path', path: '/srv/a?b' }, {})).toEqual({ location: { kind: 'path', path: '/srv/a?b' }, secret: undefined })
})

test.each([
  [{ kind: 'url', url: 'https://mirror.example/images/debian%2012.qcow2' }, 'debian 12.qcow2'],
  [{ kind: 'url', url: 'https://mirror.example/' }, null],
  [{ kind: 'url', url: 'https://mirror.example/a%zz' }, 'a%zz'],
  [{ kind: 'path', path: '/srv/in/a.img' }, 'a.img'],
] as const)('the file name of %j', (location, expected) => {
  expect(filenameOf(location)).toBe(expected)
})
