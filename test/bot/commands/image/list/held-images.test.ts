// Images of stores that do not answer, from the catalogue: which of them pass a filter, how many are shown, and who sees them.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { heldOf } from '../../../../../bot/fleet/catalogue/held-image.ts'
import { findHeld, listHeld, removedStores } from '../../../../../bot/commands/image/list/held-images.ts'
import type { AbsentStore, HeldAnswer } from '../../../../../bot/commands/image/list/held-images.ts'
import { openBot } from '../../../../../bot/open.ts'
import { openMemoryDatabase } from '../../../../../bot/system/database.ts'
import type { Role } from '../../../../../protocol/access.ts'
import type { Image } from '../../../../../protocol/images/image.ts'
import { createManualClock } from '../../../../support/memory/manual-clock.ts'
import { imageOf } from '../../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const START_MS = Date.UTC(2026, 0, 10)
const SILENT_MS = START_MS - 60_000
/** `image list` shows at most this many images of stores that do not answer. */
const SHOWN_MAX = 5000

/** A bot whose stores all fell silent, with the images that they had. */
function openSilent(stores: Readonly<Record<string, readonly Image[]>>) {
  const clock = createManualClock(START_MS)
  const bot = openBot('', { clock, database: openMemoryDatabase(), fetch: () => Promise.reject(new TypeError('connection refused')) })
  const absent: AbsentStore[] = Object.entries(stores).map(([name, images], number) => {
    const storeId = `11111111-2222-4333-8444-${String(number).padStart(12, '0')}`
    bot.fleet.registry.add({ name, url: `http://${name}.example`, token: 'x', zone: 'zone-1', provider: 'local', storeId }, 0)
    const opened = bot.catalogue.open(name)
    const store = bot.fleet.registry.find(name)
    if (!opened || !store) throw new Error(`${name} is not registered`)
    for (let at = 0; at < images.length; at += 1000)
      bot.catalogue.put(
        opened,
        images.slice(at, at + 1000).map((image) => heldOf(image, SILENT_MS)),
      )
    bot.catalogue.verified([{ key: opened.key, asOfMs: SILENT_MS }])
    const held = bot.catalogue.of(name) ?? opened
    return {
      held,
      sinceMs: SILENT_MS,
      silence: { kind: 'stopped', store, sinceMs: SILENT_MS, lastSeenMs: SILENT_MS, reason: 'It fell silent.', asOfMs: START_MS } as const,
    }
  })
  const context = (role: Role = 'admin') => bot.context({ name: 'ann', role }, 'console')
  return { bot, clock, absent, context, [Symbol.dispose]: () => bot[Symbol.dispose]() }
}

const namesOf = ({ images }: Pick<HeldAnswer, 'images'>): string[] => images.map(({ image }) => image.name)

describe('a filter', () => {
  const images = [
    imageOf(1, { name: 'Debian', owner: 'ann', createdAt: '2026-01-01T00:00:00.000Z' }),
    imageOf(2, { name: 'fedora', kind: 'template', createdAt: '2026-01-02T00:00:00.000Z' }),
    imageOf(3, { name: 'windows', format: 'qcow2', status: 'degraded', createdAt: '2026-01-03T00:00:00.000Z' }),
    imageOf(4, { name: 'gone', status: 'deleted' }),
  ]

  test.each([
    [{}, ['Debian', 'fedora', 'windows']],
    [{ status: 'fileUnavailable' }, ['Debian', 'fedora', 'windows']],
    [{ status: 'deleted' }, ['gone']],
    [{ status: 'available' }, []],
    [{ owner: 'ann' }, ['Debian']],
    [{ owner: '' }, ['fedora', 'windows']],
    [{ name: 'fedora' }, ['fedora']],
    [{ name: 'fed' }, []],
    [{ search: 'DEB' }, ['Debian']],
    [{ kind: 'template' }, ['fedora']],
    [{ format: 'qcow2' }, ['windows']],
    [{ createdAfter: '2026-01-01T00:00:00.000Z' }, ['fedora', 'windows']],
    [{ createdBefore: '2026-01-03T00:00:00.000Z' }, ['Debian', 'fedora']],
    [{ owner: undefined, createdAfter: '2026-01-01T00:00:00.000Z', createdBefore: '2026-01-03T00:00:00.000Z' }, ['fedora']],
  ] as const)('%j passes %p', (filter, names) => {
    using it = openSilent({ 'edge-a': images })
    expect(namesOf(listHeld(it.context(), it.absent, filter))).toEqual([...names])
  })

  test('that the catalogue cannot answer leaves the images out, and says so', () => {
    using it = openSilent({ 'edge-a': images })
    const { images: shown, notes } = listHeld(it.context(), it.absent, { mediaGroup: 'lab', owner: 'ann' })
    expect(shown).toEqual([])
    expect(notes).toEqual([expect.stringContaining('its images are not in this answer: the catalogue of the bot does not know mediaGroup=.')])
  })
})

test('images that not everybody sees are shown to operators only, also when they are found by name', () => {
  const grants = [{ subject: 'user:eve', rights: ['read' as const] }]
  using it = openSilent({ 'edge-a': [imageOf(1, { name: 'open' }), imageOf(2, { name: 'granted', grants })] })
  expect(namesOf(listHeld(it.context('operator'), it.absent, {}))).toEqual(['granted', 'open'])
  expect(namesOf(listHeld(it.context('uploader'), it.absent, {}))).toEqual(['open'])
  expect(findHeld(it.context('operator'), it.absent, 'granted')).toHaveLength(1)
  expect(findHeld(it.context('viewer'), it.absent, 'granted')).toEqual([])
})

test('a text finds the image of this name before those whose id has it, and one in the recycle bin only if no other has it', () => {
  const [bin, listed] = [imageOf(1, { name: 'disk', status: 'deleted' }), imageOf(2, { name: 'disk' })]
  using it = openSilent({ 'edge-a': [bin], 'edge-b': [listed] })
  expect(findHeld(it.context(), it.absent, 'disk').map(({ absent }) => absent.held.name)).toEqual(['edge-b'])
  expect(findHeld(it.context(), it.absent, bin.id).map(({ absent }) => absent.held.name)).toEqual(['edge-a'])
})

describe('the note of a store', () => {
  test('says how many images it had, and how old that is', () => {
    using it = openSilent({ 'edge-a': [imageOf(1)] })
    it.clock.advance(60_000)
    expect(listHeld(it.context(), it.absent, {}).notes).toEqual([
      expect.stringContaining(
        'its 1 image, with the recycle bin, are from the catalogue of the bot, as of 2026-01-09 23:59:00 UTC (2 min old), and their files are unavailable.',
      ),
    ])
  })

  test('says how many are shown when the stores together have more than an answer shows', () => {
    const many = (from: number, count: number): Image[] => Array.from({ length: count }, (_unused, i) => imageOf(from + i))
    using it = openSilent({ 'edge-a': many(0, 3000), 'edge-b': many(3000, 2001), 'edge-c': [] })
    const { images, notes } = listHeld(it.context(), it.absent, {})
    expect(images).toHaveLength(SHOWN_MAX)
    expect(images.filter(({ absent }) => absent.held.name === 'edge-b')).toHaveLength(2000)
    expect(notes.map((note) => /Only \d+ of them are shown\./.exec(note)?.[0])).toEqual([undefined, 'Only 2000 of them are shown.', undefined])
  })
})

test('a removed store is found by its name in any case, and says when it was removed', () => {
  using it = openSilent({ 'edge-a': [imageOf(1)], 'edge-b': [imageOf(2)] })
  expect(removedStores(it.context())).toEqual([])
  it.bot.fleet.registry.remove('edge-a')
  const found = removedStores(it.context(), 'EDGE-A')
  expect(found.map(({ held, silence }) => [held.name, silence])).toEqual([['edge-a', undefined]])
  expect(removedStores(it.context(), 'edge-b')).toEqual([])
  expect(listHeld(it.context(), found, {}).notes).toEqual([
    expect.stringMatching(/^edge-a was removed from the registry \d{4}-.* They are back when the store is added again\.$/),
  ])
})
