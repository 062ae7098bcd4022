// Pinned host keys: which key is accepted, what a refusal leaves, the limit, and how a pin ends.

import { describe, expect, test } from 'bun:test'
import { describeHostKey, openHostKeys } from '../../../../agent/imports/sftp/host-keys.ts'
import type { NewEvent } from '../../../../agent/contract/work.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import { refusalOf } from '../source-refusal.ts'

const OLD = `SHA256:${'o'.repeat(43)}`
const NEW = `SHA256:${'n'.repeat(43)}`
const THIRD = `SHA256:${'t'.repeat(43)}`
const HOST = 'files.example:22'

/** Pins at a time that the test sets. */
function openPins(stored?: unknown) {
  const state = { stored, writes: 0, nowMs: Date.parse('2026-11-22T10:00:00Z') }
  const events: NewEvent[] = []
  const kept = {
    read: () => state.stored,
    write: (_key: string, value: unknown) => {
      state.stored = JSON.parse(JSON.stringify(value))
      state.writes++
    },
  }
  const keys = openHostKeys({ kept, clock: { ...systemClock, nowMs: () => state.nowMs }, emit: (event) => void events.push(event) })
  const check = (fingerprint: string, expected?: string, host = HOST): Promise<string> =>
    refusalOf(Promise.resolve().then(() => keys.check({ host, algorithm: 'ssh-ed25519', fingerprint }, expected)))
  return { state, events, keys, check }
}

/** Pinned keys of this many hosts. */
const pinsOf = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ host: `host-${i}:22`, algorithm: 'ssh-ed25519', fingerprint: OLD, pinnedAt: '2026-01-01T00:00:00.000Z' }))

describe('a host key', () => {
  test('is pinned on first use, and remembers the key that was offered instead, with one write for each key', async () => {
    const { state, keys, check, events } = openPins()
    expect(await check(OLD)).toBe('no error')
    state.nowMs += 60_000
    const refusal = await check(NEW)
    expect(refusal).toBe(`host-key-mismatch: The host key of ${HOST} is ${NEW} (ssh-ed25519), but ${OLD} was pinned at 2026-11-22T10:00:00.000Z.`)
    state.nowMs += 60_000
    await check(NEW)
    expect(state.writes).toBe(2)
    expect(keys.list()).toEqual([
      {
        host: HOST,
        algorithm: 'ssh-ed25519',
        fingerprint: OLD,
        pinnedAt: '2026-11-22T10:00:00.000Z',
        offered: { algorithm: 'ssh-ed25519', fingerprint: NEW, firstAt: '2026-11-22T10:01:00.000Z' },
      },
    ])
    // Also when the request expects another key than the pinned one and gets neither.
    expect(await check(THIRD, NEW)).toStartWith('host-key-mismatch: ')
    expect(keys.find(HOST)?.offered).toEqual({ algorithm: 'ssh-ed25519', fingerprint: THIRD, firstAt: '2026-11-22T10:02:00.000Z' })
    // The pinned key is what somebody expected wrongly, and nothing was offered instead of it.
    expect(await check(OLD, NEW)).toStartWith('host-key-mismatch: ')
    expect(keys.find(HOST)?.offered?.fingerprint).toBe(THIRD)
    expect(await check(OLD)).toBe('no error')
    expect(events.map(({ type }) => type)).toEqual(['import.host-key-pinned'])
  })

  test('that is refused has a problem that names the command', () => {
    const { keys } = openPins([{ host: HOST, algorithm: 'ssh-ed25519', fingerprint: OLD, pinnedAt: '2026-01-01T00:00:00.000Z' }])
    const check = () => keys.check({ host: HOST, algorithm: 'ssh-ed25519', fingerprint: NEW }, undefined)
    expect(check).toThrow(
      expect.objectContaining({
        problem: expect.objectContaining({ action: expect.stringContaining('"host-key forget files.example:22"'), fingerprint: NEW, pinnedFingerprint: OLD }),
      }),
    )
  })

  test('is replaced by the one that a request names and the server shows', async () => {
    const { keys, check, events } = openPins()
    await check(OLD)
    await check(NEW)
    expect(await check(NEW, NEW)).toBe('no error')
    expect(keys.find(HOST)).toMatchObject({ fingerprint: NEW, offered: null })
    expect(events.at(-1)?.message).toBe(`The host key of ${HOST} was replaced: ${NEW} (ssh-ed25519) instead of ${OLD}.`)
  })

  test('that is forgotten is pinned again at the next use; the event names who made the store forget it', async () => {
    const { keys, check, events } = openPins()
    await check(OLD)
    expect(keys.forget('other.example:22', 'ann')).toBe(false)
    expect(keys.forget(HOST, 'ann')).toBe(true)
    expect(keys.forget(HOST, 'ann')).toBe(false)
    expect(events.at(-1)).toEqual({
      type: 'import.host-key-forgotten',
      severity: 'warning',
      subject: HOST,
      message: `ann made this store forget the host key of ${HOST}, ${OLD} (ssh-ed25519). The next import from it pins the key that it shows then.`,
      details: { host: HOST, algorithm: 'ssh-ed25519', fingerprint: OLD, actor: 'ann' },
    })
    expect(keys.list()).toEqual([])
    expect(await check(NEW)).toBe('no error')
    expect(keys.find(HOST)?.fingerprint).toBe(NEW)
  })
})

describe('the limit of 1000 pins', () => {
  test('drops none for a new one: the import is refused, unless its request names the key', async () => {
    const { keys, check } = openPins(pinsOf(999))
    expect(await check(OLD)).toBe('no error')
    expect(keys.list()).toHaveLength(1000)
    expect(await check(OLD, undefined, 'one-more.example:22')).toBe(
      'limit-reached: The host key of one-more.example:22 cannot be pinned: the keys of 1000 hosts are pinned, which is the limit.',
    )
    expect(await check(OLD, OLD, 'one-more.example:22')).toBe('no error')
    expect(keys.find('one-more.example:22')).toBeUndefined()
    // Those that are pinned stay so, and can be replaced and forgotten.
    expect(await check(NEW, undefined, 'host-0:22')).toStartWith('host-key-mismatch: ')
    expect(await check(NEW, NEW, 'host-0:22')).toBe('no error')
    expect(keys.forget('host-1:22', 'ann')).toBe(true)
    expect(await check(OLD, undefined, 'one-more.example:22')).toBe('no error')
    expect(keys.list()).toHaveLength(1000)
  })

  test('cannot be evaded by a list that is damaged: nothing is pinned then', async () => {
    const { check, state } = openPins('not a list')
    expect(await check(OLD)).toStartWith('internal: The pinned host keys in the state folder cannot be read.')
    expect(state.writes).toBe(0)
  })
})

test('a key without a readable algorithm is described by its fingerprint', () => {
  const key = new Uint8Array([0, 0, 0, 200, 1, 2, 3])
  expect(describeHostKey(HOST, key)).toMatchObject({ host: HOST, algorithm: 'unknown', fingerprint: expect.stringMatching(/^SHA256:[A-Za-z0-9+/]{43}$/) })
})
