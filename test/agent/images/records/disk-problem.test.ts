// What a disk error becomes for the caller of a change.

import { expect, test } from 'bun:test'
import { diskProblem } from '../../../../agent/images/records/disk-problem.ts'
import { problem } from '../../../../protocol/problems.ts'

const withCode = (code: string): Error => Object.assign(new Error(code), { code })

test.each([
  ['ENOSPC', 'insufficient-storage', 'It failed: the disk of the store is full.'],
  ['EDQUOT', 'insufficient-storage', 'It failed: the disk of the store is full.'],
  ['EIO', 'store-unavailable', 'It failed: the mount path returned EIO.'],
])('%s is %s', (code, expected, message) => {
  const cause = withCode(code)
  expect(diskProblem('It failed', cause)).toMatchObject({ code: expected, message, cause })
})

test('a problem, and an error that no disk has thrown, stay as they are', () => {
  for (const error of [problem('conflict', 'There is one.'), new Error('a bug')]) expect(diskProblem('It failed', error)).toBe(error)
})
