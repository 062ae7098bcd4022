// The account of space above the reserve.

import { describe, expect, test } from 'bun:test'
import { createSpace } from '../../../agent/system/space.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'

function createFixture(freeBytes: number, reservedBytes: number) {
  const clock = createManualClock()
  const file = { totalBytes: 1000, freeBytes }
  let looks = 0
  const disk = { space: async () => (looks++, { ...file }) }
  return { clock, file, looks: () => looks, space: createSpace({ disk, clock, mount: '/srv/slipway', reservedBytes: () => reservedBytes }) }
}

describe('promise', () => {
  test('is refused beyond the space above the reserve, and changes nothing then', async () => {
    const { space } = createFixture(500, 100)
    expect(await space.promise('a', 401)).toBe(false)
    expect((await space.state()).promisedBytes).toBe(0)
    expect(await space.promise('a', 400)).toBe(true)
    expect(await space.state()).toEqual({ totalBytes: 1000, freeBytes: 500, reservedBytes: 100, promisedBytes: 400, availableBytes: 0 })
  })

  test('replaces the earlier promise of its key, and 0 removes it', async () => {
    const { space } = createFixture(500, 0)
    expect(await space.promise('a', 300)).toBe(true)
    expect(await space.promise('a', 450)).toBe(true)
    expect(await space.promise('b', 51)).toBe(false)
    expect(await space.promise('a', 0)).toBe(true)
    expect(await space.promise('b', 500)).toBe(true)
  })

  test('never promises the same bytes to two concurrent callers', async () => {
    const { space } = createFixture(500, 0)
    const granted = await Promise.all(['a', 'b', 'c'].map((key) => space.promise(key, 200)))
    expect(granted.filter(Boolean)).toHaveLength(2)
  })
})

describe('promiseShare', () => {
  const order = (key: string, bytes: number, fitting = bytes) => ({ key, account: key.split(' ')[0] ?? '', bytes, fitting })

  test('promises the transfers of one account half of the space above the reserve, and the next account half of the rest', async () => {
    const { space } = createFixture(900, 100)
    const promised = async (): Promise<number> => (await space.state()).promisedBytes
    expect(await space.promiseShare(order('ann 1', 300))).toBe(true)
    expect(await promised()).toBe(300)
    expect(await space.promiseShare(order('ann 2', 300))).toBe(true)
    expect(await promised()).toBe(400)
    expect(await space.promiseShare(order('ann 3', 1))).toBe(true)
    expect(await promised()).toBe(400)
    expect(await space.promiseShare(order('bob 1', 400))).toBe(true)
    expect(await promised()).toBe(600)
    expect(await space.promiseShare(order('cid 1', 200))).toBe(true)
    expect(await promised()).toBe(700)
  })

  test('refuses bytes that do not fit above the reserve next to the promises of others, and changes nothing then', async () => {
    const { space } = createFixture(900, 100)
    expect(await space.promiseShare(order('ann 1', 801))).toBe(false)
    expect(await space.promiseShare(order('ann 1', 800))).toBe(true)
    expect(await space.promiseShare(order('bob 1', 401))).toBe(false)
    expect((await space.state()).promisedBytes).toBe(400)
    expect(await space.promiseShare(order('bob 1', 400))).toBe(true)
    expect(await space.promiseShare(order('ann 1', 700, 601))).toBe(false)
    expect(await space.promiseShare(order('ann 1', 700, 600))).toBe(true)
  })

  test('keeps a promise when other transfers start and when the disk fills up, and removes it at 0', async () => {
    const { space, file } = createFixture(900, 100)
    await space.promiseShare(order('ann 1', 800))
    await space.promiseShare(order('bob 1', 200))
    file.freeBytes = 800
    expect(await space.promiseShare(order('ann 1', 700, 0))).toBe(true)
    expect((await space.state()).promisedBytes).toBe(600)
    expect(await space.promiseShare(order('ann 1', 300, 0))).toBe(true)
    expect((await space.state()).promisedBytes).toBe(500)
    file.freeBytes = 250
    expect(await space.promiseShare(order('ann 1', 300, 300))).toBe(true)
    expect(await space.promiseShare(order('ann 1', 301, 301))).toBe(false)
    expect(await space.promiseShare(order('ann 1', 0))).toBe(true)
    expect((await space.state()).promisedBytes).toBe(200)
  })
})

describe('state', () => {
  test('never shows negative space', async () => {
    const { space, file } = createFixture(500, 100)
    await space.promise('a', 400)
    file.freeBytes = 50
    expect((await space.state()).availableBytes).toBe(0)
  })
})

describe('isBelowReserve', () => {
  test('measures the disk at most once a second', async () => {
    const { space, file, clock, looks } = createFixture(500, 100)
    expect(await space.isBelowReserve()).toBe(false)
    file.freeBytes = 99
    clock.advance(999)
    expect(await space.isBelowReserve()).toBe(false)
    expect(looks()).toBe(1)
    clock.advance(1)
    expect(await space.isBelowReserve()).toBe(true)
  })
})

test('a reserve that changes counts from the next question on', async () => {
  let reserved = 100
  const disk = { space: async () => ({ totalBytes: 1000, freeBytes: 500 }) }
  const space = createSpace({ disk, clock: createManualClock(), mount: '/srv/slipway', reservedBytes: () => reserved })
  expect((await space.state()).availableBytes).toBe(400)
  reserved = 450
  expect(await space.promise('a', 51)).toBe(false)
  expect(await space.promise('a', 50)).toBe(true)
  expect(await space.state()).toMatchObject({ reservedBytes: 450, availableBytes: 0 })
})
