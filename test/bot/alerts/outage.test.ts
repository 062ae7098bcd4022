// Several zones that fall silent at once are one card, however spread their silences are; what is no outage keeps its own cards.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { openAlertScene } from './scene.ts'
import type { Look } from './scene.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const OPS = 'C024BE91L'

/** Stores `zone-1-0`, `zone-1-1`, … of several zones. */
function storesOf(zones: number, each: number): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: zones * each }, (_unused, n) => [`zone-${Math.floor(n / each) + 1}-${n % each}`, `zone-${Math.floor(n / each) + 1}`]),
  )
}

function looks(stores: Readonly<Record<string, string>>, look: Look, zones: readonly string[] = Object.values(stores)): Record<string, Look> {
  return Object.fromEntries(Object.entries(stores).flatMap(([name, zone]) => (zones.includes(zone) ? [[name, look]] : [])))
}

async function open(stores: Record<string, string>, subscribe = 'alert subscribe', home?: string) {
  const it = openAlertScene(stores, home)
  await it.run(subscribe, 'operator', OPS)
  it.see(looks(stores, {}))
  it.pass(10)
  return it
}

const titles = (it: Awaited<ReturnType<typeof open>>): string[] => it.messages().map(({ view }) => view.title)

describe('an outage of three zones', () => {
  test('is one card, which ends when all stores answer', async () => {
    const stores = storesOf(3, 4)
    using it = await open(stores)
    // The zones fall silent 10 s apart.
    for (const zone of ['zone-1', 'zone-2', 'zone-3']) {
      it.see(looks(stores, 'stopped', [zone]))
      it.pass(10)
    }
    it.pass(60)
    expect(titles(it)).toEqual(['Fleet: 12 stores of 3 zones silent'])
    const [card] = it.messages()
    expect(card?.view.tone).toBe('bad')
    expect(card?.view.text).toBe('critical, since 2026-01-01 00:00:15 UTC. 15 open.')
    expect(card?.view.fields[0]).toMatchObject({ label: 'Zones', value: 'zone-1: 4, zone-2: 4, zone-3: 4' })
    expect(card?.view.fields[3]?.value).toStartWith(
      'What happens to several zones at once has one cause: check the network, DNS and clock of the machine of the bot first',
    )
    expect(card?.view.actions.map(({ label }) => label)).toEqual([
      ...['Acknowledge all', 'Silence zone-1 2 h', 'Silence zone-2 2 h', 'Silence zone-3 2 h', 'All alerts', 'Health of the fleet'],
    ])

    expect(await it.run(card?.view.actions[0]?.command ?? '')).toMatchObject({ outcome: 'done' })
    it.see(looks(stores, {}, ['zone-1', 'zone-2']))
    it.pass(70)
    expect(titles(it)).toEqual(['Fleet: 4 stores of 1 zone silent'])
    expect(it.messages()[0]?.view.text).toContain('5 open, 5 acknowledged, 10 resolved.')
    it.see(looks(stores, {}))
    it.pass(70)
    expect(titles(it)).toEqual(['Fleet: 3 zones answer again', 'Fleet: 3 zones answer again'])
    expect(it.messages()[1]?.threadKey).toBe(card?.key ?? '-')
  })

  test('has a button to silence each of the three zones with the most silent stores, until they are silenced', async () => {
    const stores = { ...storesOf(4, 2), 'zone-4-2': 'zone-4' }
    using it = await open(stores)
    it.see(looks(stores, 'stopped'))
    it.pass(60)
    const silences = () => (it.messages()[0]?.view.actions ?? []).filter(({ label }) => label.startsWith('Silence'))
    expect(silences().map(({ command }) => command)).toEqual(['zone-4', 'zone-1', 'zone-2'].map((zone) => `alert silence zone=${zone} for=2h`))
    expect(await it.run(silences()[0]?.command ?? '')).toMatchObject({ outcome: 'done' })
    it.pass(70)
    expect(silences().map(({ label }) => label)).toEqual(['Silence zone-1 2 h', 'Silence zone-2 2 h', 'Silence zone-3 2 h'])
  })

  test('takes a zone that falls silent within ten minutes', async () => {
    const stores = storesOf(3, 2)
    using it = await open(stores)
    it.see(looks(stores, 'stopped', ['zone-1', 'zone-2']))
    it.pass(300)
    it.see(looks(stores, 'stopped', ['zone-3']))
    it.pass(60)
    expect(titles(it)).toEqual(['Fleet: 6 stores of 3 zones silent'])
  })

  test('with one store each is one card too', async () => {
    const stores = storesOf(3, 1)
    using it = await open(stores)
    it.see(looks(stores, 'stopped'))
    it.pass(60)
    expect(titles(it)).toEqual(['Fleet: 3 stores of 3 zones silent'])
  })

  test('is told once after a restart', async () => {
    const stores = storesOf(2, 3)
    await using folder = await createTemporaryFolder()
    using it = await open(stores, undefined, folder.path)
    it.see(looks(stores, 'stopped'))
    it.pass(60)
    expect(it.messages()).toHaveLength(1)
    it.restart()
    it.see(looks(stores, 'stopped'))
    it.pass(300)
    expect(it.messages()).toHaveLength(1)
  })
})

describe('no outage', () => {
  test('is one zone, and a zone of which a store still answers', async () => {
    const stores = storesOf(2, 3)
    using it = await open(stores)
    it.see({ ...looks(stores, 'stopped'), 'zone-2-0': {} })
    it.pass(60)
    expect(titles(it).toSorted()).toEqual([
      'zone-1-0 Stopped',
      'zone-1-1 Stopped',
      'zone-1-2 Stopped',
      'zone-1: no healthy store',
      'zone-2-1 Stopped',
      'zone-2-2 Stopped',
    ])
  })

  test('is what is wrong with stores that answer; it keeps its own cards beside an outage', async () => {
    const stores = storesOf(3, 2)
    using it = await open(stores)
    it.see(looks(stores, { 'free-space': 'failed' }, ['zone-3']))
    it.see(looks(stores, 'stopped', ['zone-1', 'zone-2']))
    it.pass(125)
    expect(titles(it)).toEqual(['Fleet: 4 stores of 2 zones silent', 'zone-3-0: free space', 'zone-3-1: free space'])
  })

  test('is seen by a channel that wants one zone', async () => {
    const stores = storesOf(3, 5)
    using it = await open(stores, 'alert subscribe zone=zone-2')
    it.see(looks(stores, 'stopped'))
    it.pass(60)
    expect(titles(it)).toEqual(['zone-2: 6 alerts of 5 stores'])
  })

  test('are stores in maintenance: a zone whose other stores are silent counts', async () => {
    const stores = storesOf(2, 2)
    using it = await open(stores)
    await it.run('store maintenance zone-1-0 for=2h')
    it.see(looks(stores, 'stopped'))
    it.pass(60)
    expect(titles(it)).toEqual(['Fleet: 3 stores of 2 zones silent'])
  })
})
