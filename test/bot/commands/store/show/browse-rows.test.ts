// Rows of `store browse`: what they open, who may download, and which folders of images a viewer sees.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { openScriptedFleet, page } from '../../scripted-fleet.ts'
import type { Asked } from '../../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const entry = (name: string, kind: 'file' | 'folder') => ({ name, kind, length: 1, modifiedAt: '2026-01-01T00:00:00.000Z' })

function open(items: readonly object[]) {
  return openScriptedFleet({ 'edge-a': { 'GET /files': ({ query }: Asked) => ({ ...page(items), path: query['path'] }), 'GET /images': page([]) } })
}

test('a folder opens, and a file is downloaded by those who see all images', async () => {
  using it = open([entry('packs', 'folder'), entry('store.json', 'file')])
  const rowsOf = async (role: 'viewer' | 'operator') => (await it.run('store browse edge-a', { role })).rows.map(({ opens, file }) => [opens, file])
  expect(await rowsOf('operator')).toEqual([
    ['store browse edge-a packs', undefined],
    [undefined, { store: 'edge-a', path: 'store.json' }],
  ])
  expect(await rowsOf('viewer')).toEqual([
    ['store browse edge-a packs', undefined],
    [undefined, undefined],
  ])
})

test.each([
  [0, '0 entries'],
  [1, '1 entry'],
  [2, '2 entries'],
])('%d: %s', async (count, text) => {
  using it = open(Array.from({ length: count }, (_unused, i) => entry(`f${i}`, 'file')))
  expect((await it.run('store browse edge-a')).text).toBe(text)
})

test('a viewer sees no folder of an image that is hidden from them, and an operator does', async () => {
  using it = open([entry('img_00000000000000000000000001', 'folder')])
  expect((await it.run('store browse edge-a images', { role: 'viewer' })).rows).toEqual([])
  expect((await it.run('store browse edge-a images', { role: 'operator' })).rows).toHaveLength(1)
  const line = 'store browse edge-a images/img_00000000000000000000000001'
  expect((await it.run(line, { role: 'viewer' })).text).toBe('There is no file "images/img_00000000000000000000000001" in the mount path.')
  expect((await it.run(line, { role: 'operator' })).outcome).toBe('done')
})
