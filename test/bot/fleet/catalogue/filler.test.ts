// The service fills the catalogue: whatever order states, events, answers, interruptions and restarts come in, it ends with what the agent has.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import fc from 'fast-check'
import { IMAGES_PER_SECOND, fillCatalogue, NAMED_MAX, READERS_MAX } from '../../../../bot/fleet/catalogue/filler.ts'
import type { CatalogueFiller } from '../../../../bot/fleet/catalogue/filler.ts'
import { openBot } from '../../../../bot/open.ts'
import type { OpenBot } from '../../../../bot/open.ts'
import { openMemoryDatabase } from '../../../../bot/system/database.ts'
import { createLog } from '../../../../bot/system/log.ts'
import { fingerprintText, isOpenImage, NO_IMAGES, withImage } from '../../../../protocol/images/fingerprint.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { propertyOptions } from '../../../support/properties.ts'
import { until } from '../../../support/until.ts'
import { imageOf, refuse, storeOf } from '../../commands/scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(120_000)

const STATUSES = ['available', 'degraded', 'error', 'creating', 'deleted'] as const

/** An agent whose images the test changes, and a service that reads them. */
function scene(isOld = false) {
  const clock = createManualClock()
  const images = new Map<string, Image>()
  const asked: string[] = []
  let answer: ((path: string) => Response | undefined) | undefined
  let concurrent = 0
  let most = 0
  const database = openMemoryDatabase()
  const bot: OpenBot = openBot('', {
    clock,
    database,
    fetch: async (address) => {
      const url = new URL(address)
      const path = url.pathname.replace('/v1/', '')
      asked.push(path)
      most = Math.max(most, ++concurrent)
      await new Promise((resolve) => setImmediate(resolve))
      concurrent--
      const given = answer?.(path)
      if (given) return given
      if (path !== 'images') {
        const image = images.get(path.slice('images/'.length))
        return image ? Response.json(image) : refuse('not-found', 'There is no such image.')
      }
      const isBin = url.searchParams.get('status') === 'deleted'
      const all = [...images.values()].filter(({ status }) => (status === 'deleted') === isBin).toSorted((a, b) => a.id.localeCompare(b.id))
      const from = Number(url.searchParams.get('cursor') ?? 0)
      const limit = Number(url.searchParams.get('limit'))
      return Response.json({ items: all.slice(from, from + limit), next: from + limit < all.length ? String(from + limit) : null })
    },
  })
  const storeId = storeOf().id
  bot.fleet.registry.add({ name: 'edge-a', url: 'http://edge-a.example', token: 'x', zone: 'z', provider: 'local', storeId }, 0)
  const start = (): CatalogueFiller =>
    fillCatalogue({ catalogue: bot.catalogue, fleet: bot.fleet, clock, log: createLog({ clock, level: 'error', write: (line) => expect(line).toBe('') }) })
  let filler = start()
  const fillers = [filler]
  const record = () => {
    const found = bot.fleet.registry.find('edge-a')
    if (!found) throw new Error('the store is registered')
    return found
  }
  const fingerprint = (): string =>
    fingerprintText([...images.values()].reduce((sum, image) => withImage(sum, { ...image, isOpen: isOpenImage(image) }, 1), NO_IMAGES))
  const shown = (all: Iterable<Image>): string[] =>
    [...all]
      .filter(({ status }) => status !== 'creating')
      .map(({ id, name, status, digest }) => [id, name, status, digest].join(' '))
      .toSorted((a, b) => a.localeCompare(b))
  const kept = (): string[] => {
    const store = bot.catalogue.of('edge-a')
    const list = (isBin: boolean) => (store ? bot.catalogue.list(store, { isBin, isAll: true, limit: 100_000 }) : [])
    return [...list(false), ...list(true)].map(({ id, name, status, digest }) => [id, name, status, digest].join(' ')).toSorted((a, b) => a.localeCompare(b))
  }
  const state = (): void => {
    const counts = { available: images.size, deleted: 0, other: 0 }
    const store = storeOf({ images: counts, slices: { count: 1, storedBytes: 1, imageBytes: images.size, savingRatio: 1 } })
    filler.saw({
      kind: 'answered',
      store: record(),
      value: {
        health: { state: 'running', checks: [], asOf: '2026-01-01T00:00:00.000Z' },
        store: { ...store, ...(isOld ? {} : { imagesFingerprint: fingerprint() }) },
        tasks: null,
      },
      asOfMs: clock.nowMs(),
    })
  }
  const event = (id: string): void =>
    filler.read('edge-a', {
      id: '1',
      time: '2026-01-01T00:00:00.000Z',
      type: 'image.changed',
      severity: 'info',
      subject: id,
      message: '',
      actor: '',
      details: {},
    })
  const turn = async (ms: number): Promise<void> => {
    clock.advance(ms)
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
  }
  return {
    bot,
    clock,
    images,
    asked,
    state,
    event,
    kept,
    turn,
    shown: () => shown(images.values()),
    most: () => most,
    set answer(next: typeof answer) {
      answer = next
    },
    silence: () => filler.saw({ kind: 'stopped', store: record(), sinceMs: clock.nowMs(), lastSeenMs: clock.nowMs(), reason: 'gone', asOfMs: clock.nowMs() }),
    stop: () => filler[Symbol.asyncDispose](),
    /** Starts another service on the same database while the first is in the middle of its work, as after SIGKILL. */
    restart: () => {
      filler = start()
      fillers.push(filler)
    },
    /** Sends states as an agent does until the catalogue is complete. */
    settle: (what = 'the catalogue has what the agent has') =>
      until(what, async () => {
        state()
        await turn(20_000)
        const store = bot.catalogue.of('edge-a')
        return store !== undefined && store.asOfMs !== null && JSON.stringify(kept()) === JSON.stringify(shown(images.values()))
      }),
    async [Symbol.asyncDispose]() {
      await Promise.all(fillers.map((one) => one[Symbol.asyncDispose]()))
      bot[Symbol.dispose]()
    },
  }
}

const put = (here: ReturnType<typeof scene>, number: number, members: Partial<Image> = {}): string => {
  const image = imageOf(number, { digest: `sha256:${'0'.repeat(63)}${number % 10}`, ...members })
  here.images.set(image.id, image)
  return image.id
}

describe('the catalogue', () => {
  test('has all images after the first state, and asks nothing while nothing changes', async () => {
    await using here = scene()
    for (let i = 0; i < 600; i++) put(here, i, i % 7 === 0 ? { status: 'deleted' } : {})
    await here.settle()
    expect(here.kept()).toHaveLength(600)
    const asked = here.asked.length
    for (let i = 0; i < 20; i++) {
      here.state()
      await here.turn(20_000)
    }
    expect(here.asked.length).toBe(asked)
  })

  test('reads only the image that an event names', async () => {
    await using here = scene()
    for (let i = 0; i < 300; i++) put(here, i)
    await here.settle()
    here.asked.length = 0
    const id = put(here, 7, { name: 'renamed' })
    here.event(id)
    here.state()
    await until('the image was read', async () => {
      await here.turn(1)
      return JSON.stringify(here.kept()) === JSON.stringify(here.shown())
    })
    expect(here.asked).toEqual([`images/${id}`])
    here.images.delete(id)
    here.event(id)
    await here.settle()
    expect(here.asked.filter((path) => path === 'images')).toEqual([])
  })

  test('learns a digest that no event tells', async () => {
    await using here = scene()
    for (let i = 0; i < 300; i++) put(here, i)
    await here.settle()
    const id = put(here, 400, { digest: null })
    here.event(id)
    await here.settle()
    here.asked.length = 0
    put(here, 400)
    await here.settle()
    expect(new Set(here.asked)).toEqual(new Set([`images/${id}`]))
    // From now on the image is asked for like the others.
    here.asked.length = 0
    const other = put(here, 5, { name: 'renamed' })
    here.event(other)
    await here.settle()
    expect(new Set(here.asked)).toEqual(new Set([`images/${other}`]))
  })

  test('asks again for a named image when the agent did not answer, and does not read the list', async () => {
    await using here = scene()
    for (let i = 0; i < 3; i++) put(here, i)
    await here.settle()
    here.asked.length = 0
    const id = put(here, 1, { name: 'renamed' })
    let refusals = 1
    here.answer = () => (refusals-- > 0 ? new Response('<html>') : undefined)
    here.event(id)
    await until('it was asked for', async () => {
      await here.turn(1)
      return here.asked.length > 0
    })
    await here.settle()
    expect(here.asked).toEqual([`images/${id}`, `images/${id}`])
  })

  test('waits for the state that follows an event before it reads the list', async () => {
    await using here = scene()
    for (let i = 0; i < 3; i++) put(here, i)
    await here.settle()
    await here.turn(60_000)
    here.asked.length = 0
    const id = put(here, 1, { name: 'renamed' })
    put(here, 2, { name: 'renamed without an event' })
    here.event(id)
    here.state()
    await until('the named image was read', async () => {
      await here.turn(1)
      return here.asked.length > 0
    })
    for (let i = 0; i < 10; i++) {
      here.state()
      await here.turn(100)
    }
    expect(here.asked).toEqual([`images/${id}`])
    await here.settle()
    expect(here.asked).toContain('images')
  })

  test('finds a change that no event told, while an image has no digest', async () => {
    await using here = scene()
    put(here, 1, { digest: null })
    await here.settle()
    put(here, 2)
    await here.settle()
    expect(here.kept()).toHaveLength(2)
  })

  test('reads the list when events name more images than are read one by one', async () => {
    expect([NAMED_MAX, READERS_MAX, IMAGES_PER_SECOND]).toEqual([50, 4, 2000])
    await using here = scene()
    await here.settle()
    here.asked.length = 0
    for (let i = 0; i < 60; i++) here.event(put(here, i))
    await here.settle()
    expect(here.asked.filter((path) => path !== 'images').length).toBeLessThanOrEqual(50)
    expect(here.asked).toContain('images')
  })

  test('is complete for an agent that announces no fingerprint, and reads it again when its counts change', async () => {
    await using here = scene(true)
    put(here, 1)
    await here.settle()
    put(here, 2)
    await here.settle()
    expect(here.kept()).toHaveLength(2)
    expect(here.bot.catalogue.of('edge-a')?.beyond).toBe(0)
    await here.settle()
    here.asked.length = 0
    for (let i = 0; i < 20; i++) {
      here.state()
      await here.turn(20_000)
    }
    expect(here.asked).toEqual([])
  })

  describe('says when it was last complete', () => {
    const openComplete = async () => {
      const here = scene()
      put(here, 1)
      await here.settle()
      await here.turn(30_000)
      const readMs = here.bot.catalogue.of('edge-a')?.asOfMs ?? 0
      here.state()
      const lastMs = here.clock.nowMs()
      expect(lastMs).toBeGreaterThanOrEqual(readMs + 30_000)
      return { here, lastMs, asOfMs: () => here.bot.catalogue.of('edge-a')?.asOfMs }
    }

    test('soon after a silence', async () => {
      const { here, lastMs, asOfMs } = await openComplete()
      await using _here = here
      here.silence()
      await here.turn(1_000)
      expect(asOfMs()).toBe(lastMs)
    })

    test('from time to time while the store answers', async () => {
      const { here, lastMs, asOfMs } = await openComplete()
      await using _here = here
      for (let i = 0; i < 3600 && asOfMs() !== lastMs; i++) await here.turn(1_000)
      expect(asOfMs()).toBe(lastMs)
    })

    test('when the service stops', async () => {
      const { here, lastMs, asOfMs } = await openComplete()
      await using _here = here
      await here.stop()
      expect(asOfMs()).toBe(lastMs)
    })
  })

  test('does not ask an agent again and again that refuses or sends rubbish', async () => {
    await using here = scene()
    put(here, 1)
    here.answer = () => new Response('<html>')
    for (let i = 0; i < 180; i++) {
      here.state()
      await here.turn(20_000)
    }
    // 60 minutes: pauses of 10 s, 20 s, 40 s and so on.
    expect(here.asked.length).toBeLessThan(15)
    here.answer = undefined
    await here.settle()
  })

  test('does not keep images of a store with another UUID', async () => {
    await using here = scene()
    put(here, 1)
    here.bot.fleet.registry.change('edge-a', { storeId: crypto.randomUUID() })
    here.state()
    await here.turn(20_000)
    expect(here.asked).toEqual([])
  })
})

test('an image that came and went while the list was read is not kept, although the agent announces the same as before', async () => {
  await using here = scene()
  put(here, 1)
  let isAdded = false
  here.answer = (path) => {
    if (path !== 'images' || isAdded) return undefined
    isAdded = true
    put(here, 2)
    return undefined
  }
  here.state()
  await until('the list was read', async () => {
    await here.turn(1)
    return here.kept().length === 2
  })
  await here.turn(1_000)
  here.images.delete(imageOf(2).id)
  await here.settle()
})

/** What may happen to an agent, its stream and the service. */
type Step =
  | { readonly kind: 'put'; readonly number: number; readonly status: (typeof STATUSES)[number]; readonly isTold: boolean; readonly hasDigest: boolean }
  | { readonly kind: 'remove'; readonly number: number; readonly isTold: boolean }
  | { readonly kind: 'repeat'; readonly number: number }
  | { readonly kind: 'state' | 'restart' | 'silence' | 'fail' }
  | { readonly kind: 'wait'; readonly ms: number }

const number = fc.nat({ max: 11 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('put' as const), number, status: fc.constantFrom(...STATUSES), isTold: fc.boolean(), hasDigest: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), number, isTold: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('repeat' as const), number }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('state' as const, 'restart' as const, 'silence' as const, 'fail' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(0, 1, 1000, 20_000) }) },
)

test('whatever happened in whatever order, the catalogue ends with what the agent has', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      await using here = scene()
      const idOf = (n: number): string => imageOf(n).id
      for (const [i, one] of steps.entries()) {
        switch (one.kind) {
          case 'put':
            put(here, one.number, { status: one.status, name: `name-${i}`, ...(one.hasDigest ? {} : { digest: null }) })
            if (one.isTold) here.event(idOf(one.number))
            break
          case 'remove':
            here.images.delete(idOf(one.number))
            if (one.isTold) here.event(idOf(one.number))
            break
          case 'repeat':
            here.event(idOf(one.number))
            break
          case 'state':
            here.state()
            break
          case 'restart':
            here.restart()
            break
          case 'silence':
            here.silence()
            break
          case 'fail':
            here.answer = () => refuse('store-unavailable', 'The mount path does not answer.')
            break
          case 'wait':
            await here.turn(one.ms)
            here.answer = undefined
            break
        }
      }
      here.answer = undefined
      await here.settle()
      expect(here.kept()).toEqual(here.shown())
      expect(here.most()).toBeLessThanOrEqual(READERS_MAX * steps.length + READERS_MAX)
    }),
    propertyOptions(60),
  )
})
