// Maintenance of a store: which commands place no images there, where it is shown, and how it ends.

import { expect, test } from 'bun:test'
import type { View } from '../../../../protocol/views/view.ts'
import { imageOf, openScriptedFleet, page } from '../scripted-fleet.ts'

const IMAGE = imageOf(1, { name: 'debian', manifestDigest: `sha256:${'a'.repeat(64)}` })
const HOLDS = { 'GET /images': page([IMAGE]), [`GET /images/${IMAGE.id}`]: IMAGE }
const REFUSAL = 'edge-b is in maintenance until 2026-01-01 02:00:00 UTC (by ann: new disks), and takes no new images until then.'
const NEXT = 'Choose another store, wait until then, or end it with store maintenance edge-b --end.'

/** The sentence and the next step of an answer. */
function wordsOf(view: View): string[] {
  return [view.text, view.fields.find(({ label }) => label === 'Next')?.value ?? '']
}

/** The value of a field of an answer. */
function fieldOf(view: View, name: string): string | undefined {
  return view.fields.find(({ label }) => label === name)?.value
}

/** Opens two stores, of which `edge-b` is in maintenance for two hours. */
async function openInMaintenance() {
  const it = openScriptedFleet({ 'edge-a': HOLDS, 'edge-b': { 'GET /images': page([]) } })
  const begun = await it.run('store maintenance edge-b for=2h reason="new disks"')
  return Object.assign(it, { begun })
}

test('no command places an image in the store, and each says until when', async () => {
  using it = await openInMaintenance()
  expect(it.begun.outcome).toBe('done')
  expect(it.begun.title).toBe('Store edge-b is in maintenance until 2026-01-01 02:00:00 UTC')
  it.asked.length = 0
  const lines = [
    'image add url=http://mirror.example/x store=edge-b name=x',
    'image add url=http://mirror.example/x store=edge-b name=x --dry-run',
    'image upload store=edge-b name=x',
    'image sync debian to=edge-a,edge-b',
    'image sync debian to=edge-b --dry-run',
    'image migrate debian to=edge-b --confirm debian',
  ]
  for (const line of lines) {
    const view = await it.run(line)
    expect({ line, outcome: view.outcome, words: wordsOf(view) }).toEqual({ line, outcome: 'failed', words: [REFUSAL, NEXT] })
  }
  expect(it.asked.filter((request) => !request.includes(' GET '))).toEqual([])
})

test('a policy says that the store takes no copies', async () => {
  using it = await openInMaintenance()
  await it.run('policy add p keep=2 zone=zone-1')
  const view = await it.run('policy show p')
  expect(JSON.stringify(view.json)).toContain('edge-b is in maintenance until 2026-01-01 02:00:00 UTC')
})

test('list, show and health say so until it ends by itself', async () => {
  using it = await openInMaintenance()
  const text = 'until 2026-01-01 02:00:00 UTC (2 h left), by ann: new disks'
  expect((await it.run('store list')).notes).toEqual([`In maintenance: edge-b ${text}.`])
  expect((await it.run('store health')).notes).toEqual([`In maintenance: edge-b ${text}.`])
  expect((await it.run('store list')).rows.map(({ cells }) => cells['state'])).toEqual(['Running', 'Running, in maintenance'])
  const shown = await it.run('store show edge-b')
  expect(fieldOf(shown, 'Maintenance')).toBe(`${text}. The bot places no new images here and sends no alerts about it.`)
  expect(shown.actions.map(({ command }) => command)).toEqual([
    'store health edge-b',
    'store maintenance edge-b --end',
    'image list store=edge-b',
    'image list store=edge-b kind=template',
    'image list store=edge-b kind=snapshot',
    'image list store=edge-b kind=iso',
  ])
  expect(fieldOf(await it.run('store health edge-b'), 'State')).toBe('Running, in maintenance')
  expect(shown.json).toMatchObject({ maintenance: { until: '2026-01-01T02:00:00.000Z', reason: 'new disks', by: 'ann' } })

  it.clock.advance(7_200_000)
  expect((await it.run('store list')).notes).toEqual([])
  const after = await it.run('store show edge-b')
  expect(fieldOf(after, 'Maintenance')).toBeUndefined()
  expect(after.json).toMatchObject({ maintenance: null })
  expect((await it.run('image upload store=edge-b name=x')).text).not.toContain('maintenance')
})

test('--end ends it now, also when there is none', async () => {
  using it = await openInMaintenance()
  for (let i = 0; i < 2; i++) {
    const ended = await it.run('store maintenance edge-b --end')
    expect([ended.outcome, ended.title]).toEqual(['done', 'Store edge-b is not in maintenance'])
    expect(ended.json).toMatchObject({ maintenance: null })
  }
})

test('a second one replaces the first, and a time can be given', async () => {
  using it = await openInMaintenance()
  const view = await it.run('store maintenance edge-b until=2026-01-03T06:00Z')
  expect(fieldOf(view, 'Maintenance')).toBe(
    'until 2026-01-03 06:00:00 UTC (2 d 6 h left), by ann. The bot places no new images here and sends no alerts about it.',
  )
})

test('a change of the registration keeps it, also under another name', async () => {
  using it = await openInMaintenance()
  await it.run('store edit edge-b zone=zone-9')
  expect(fieldOf(await it.run('store show edge-b'), 'Maintenance')).toStartWith('until 2026-01-01 02:00:00 UTC')
})
