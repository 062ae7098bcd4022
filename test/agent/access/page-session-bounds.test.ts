// How many sessions of the page there may be, as literals: 10 of one token, 1000 of all. One more ends the one that was used longest ago.

import { expect, test } from 'bun:test'
import { createPageSessions } from '../../../agent/access/page-sessions.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'

type PageSessionsDeps = Parameters<typeof createPageSessions>[0]

/** Sessions of tokens that are all valid. */
function openSessions() {
  const byHash = (() => ({ name: 'any', role: 'viewer' })) as unknown as PageSessionsDeps['byHash']
  const sessions = createPageSessions({ clock: createManualClock(), byHash })
  const begin = async (token: string): Promise<string> => (await sessions.begin(token)) ?? ''
  const isAlive = async (secret: string): Promise<boolean> => (await sessions.find(secret)) !== undefined
  return { begin, isAlive }
}

test('a token has 10 sessions', async () => {
  const { begin, isAlive } = openSessions()
  const first = await begin('a')
  for (let i = 1; i < 10; i++) await begin('a')
  expect(await isAlive(first)).toBe(true)
  const { begin: beginAgain, isAlive: isStillAlive } = openSessions()
  const idlest = await beginAgain('a')
  for (let i = 1; i <= 10; i++) await beginAgain('a')
  expect(await isStillAlive(idlest)).toBe(false)
})

test('all tokens together have 1000 sessions', async () => {
  const { begin, isAlive } = openSessions()
  const secrets: string[] = []
  for (let i = 0; i < 1000; i++) secrets.push(await begin(`token ${i}`))
  expect(await isAlive(secrets[999] ?? '')).toBe(true)
  await begin('one more')
  expect([await isAlive(secrets[0] ?? ''), await isAlive(secrets[1] ?? '')]).toEqual([false, true])
})
