// Images of stores that do not answer, from the catalogue: which of them pass a filter, how many are shown, and who sees them.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { heldOf } from '../../../../../bot/fleet/catalogue/held-image.ts'
import {
  absentAmong,
  divideAbsent,
  findHeld,
  heldCopyJson,
  heldJson,
  heldRow,
  heldView,
  listHeld,
  removedStores,
} from '../../../../../bot/commands/image/list/held-images.ts'
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

describe('an image of a store that is absent', () => {
  const HELD: Partial<Image> = { name: 'disk', status: 'degraded', owner: 'ann', digest: 'sha256:d', manifestDigest: 'sha256:m', format: 'raw' }
  const one = (it: ReturnType<typeof openSilent>) => {
    const [found] = findHeld(it.context(), it.absent, 'disk')
    if (!found) throw new Error('the image is not in the catalogue')
    return found
  }
  const fieldsOf = (it: ReturnType<typeof openSilent>, copies: ReturnType<typeof findHeld>): Record<string, string> =>
    Object.fromEntries(heldView(it.context(), copies, []).fields.map(({ label, value }) => [label, value]))

  test('is shown as it was, with how old that is', () => {
    using it = openSilent({ 'edge-a': [imageOf(1, HELD)] })
    expect(fieldsOf(it, [one(it)])).toMatchObject({
      ...{ Name: 'disk', Status: 'File unavailable since 2026-01-09 23:59:00 UTC', Reason: 'It fell silent.', Next: 'store health edge-a says what to do.' },
      ...{ Stores: 'edge-a (File unavailable, was Degraded)', Known: 'from the catalogue of the bot, as of 2026-01-09 23:59:00 UTC (1 min old)' },
      ...{ Format: 'raw', 'SHA-256': 'sha256:d', Manifest: 'sha256:m', Owner: 'ann' },
    })
    using bare = openSilent({ 'edge-a': [imageOf(1, { name: 'disk', format: null, owner: null, digest: null, manifestDigest: null })] })
    expect(fieldsOf(bare, [one(bare)])).toMatchObject({ Format: '–', 'SHA-256': '–', Manifest: '–', Owner: '–' })
    expect(() => heldView(it.context(), [], [])).toThrow()
  })

  test('has a row and JSON that say so', () => {
    using it = openSilent({ 'edge-a': [imageOf(1, HELD)] })
    expect(heldRow(one(it))).toMatchObject({
      tone: 'bad',
      cells: { name: 'disk', store: 'edge-a (Stopped)', status: 'File unavailable since 2026-01-09 23:59:00 UTC, was Degraded' },
    })
    expect(heldJson(one(it))).toMatchObject({
      ...{ store: 'edge-a', name: 'disk', status: 'fileUnavailable', statusReason: 'It fell silent.' },
      fromCatalogue: { lastStatus: 'degraded', since: '2026-01-09T23:59:00.000Z', asOf: '2026-01-09T23:59:00.000Z', changedAt: '2026-01-09T23:59:00.000Z' },
    })
    expect(heldJson(one(it))).not.toContainAnyKeys(['isOpen', 'changedMs'])
    expect(heldCopyJson(one(it))).toEqual({ store: 'edge-a', status: 'fileUnavailable', lastStatus: 'degraded' })
    using bin = openSilent({ 'edge-a': [imageOf(1, { ...HELD, status: 'deleted' })] })
    expect(heldJson(one(bin))['status']).toBe('deleted')
  })

  test('of a removed store says that the store was removed', () => {
    using it = openSilent({ 'edge-a': [imageOf(1, HELD)], 'edge-b': [] })
    it.bot.fleet.registry.remove('edge-a')
    const found = findHeld(it.context(), removedStores(it.context(), 'edge-a'), 'disk')
    expect(fieldsOf(it, found)).toMatchObject({ Reason: 'edge-a was removed from the registry.', Next: 'store add brings the store and its images back.' })
    expect(heldRow(found[0] as (typeof found)[0]).cells['store']).toBe('edge-a (removed)')
    expect(heldJson(found[0] as (typeof found)[0])['statusReason']).toBe('The store was removed from the registry.')
  })

  test('whose store was never read to its end may not be all', () => {
    using it = openSilent({ 'edge-a': [imageOf(1, HELD)] })
    const absent = it.absent.map((store) => ({ ...store, held: { ...store.held, asOfMs: null, beyond: 1 } }))
    const [note] = listHeld(it.context(), absent, {}).notes
    expect(note).toContain('which did not finish reading them, so that some may be missing,')
    expect(note).toEndWith('It had 1 more image, beyond what the catalogue keeps.')
    const [found] = findHeld(it.context(), absent, 'disk')
    expect(found && [heldJson(found)['fromCatalogue'], fieldsOf(it, [found])['Known']]).toMatchObject([
      { asOf: null },
      'from the catalogue of the bot, as of 2026-01-09 23:59:00 UTC (1 min old)',
    ])
    expect(listHeld(it.context(), it.absent, {}).notes[0]).not.toContain('beyond what the catalogue keeps')
  })
})

describe('a store that the service knows to be silent', () => {
  /** Says that the service has seen these stores fall silent. */
  function openSeen(stores: Readonly<Record<string, readonly Image[]>>) {
    const it = openSilent(stores)
    const { kept, registry } = it.bot.fleet
    kept.runs.beat('test', it.clock.nowMs() - 60_000, it.clock.nowMs())
    kept.states.record(it.absent.flatMap(({ silence }) => silence ?? []))
    const divide = (isAlone?: boolean) => {
      const { asked, absent } = divideAbsent(it.context(), registry.list(), isAlone)
      return [asked.map(({ name }) => name), absent.map(({ held }) => held.name)]
    }
    return { ...it, divide, [Symbol.dispose]: () => it[Symbol.dispose]() }
  }

  test('is not asked if the catalogue knows its images, unless it stands alone', () => {
    using it = openSeen({ 'edge-a': [imageOf(1)], 'edge-b': [] })
    expect(it.divide()).toEqual([[], ['edge-a', 'edge-b']])
    expect(it.divide(true)).toEqual([['edge-a', 'edge-b'], []])
    using alone = openSeen({ 'edge-a': [imageOf(1)] })
    expect(alone.divide()).toEqual([['edge-a'], []])
    expect(alone.divide(false)).toEqual([[], ['edge-a']])
  })

  test('that fell silent while it was asked is one of them', () => {
    using it = openSeen({ 'edge-a': [imageOf(1)], 'edge-b': [] })
    const silences = it.absent.flatMap(({ silence }) => silence ?? [])
    expect(absentAmong(it.context(), silences).map(({ held, sinceMs }) => [held.name, sinceMs])).toEqual([
      ['edge-a', SILENT_MS],
      ['edge-b', SILENT_MS],
    ])
  })
})
