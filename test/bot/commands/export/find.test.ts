// How an export is found among those of a store: by id, part of an id, file, or image; and how many are read.

import { expect, setDefaultTimeout, test } from 'bun:test'
import type { Export } from '../../../../protocol/images/export.ts'
import { openScriptedFleet, page } from '../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

function exportOf(number: number, members: Partial<Export> = {}): Export {
  const id = `exp_${String(number).padStart(26, '0')}`
  const name = `file-${number}.raw`
  return {
    ...{
      id,
      name,
      path: `exports/${name}`,
      image: `img_${String(number).padStart(26, '0')}`,
      imageName: `disk-${number}`,
      as: null,
      state: 'ready',
      length: 9,
    },
    ...{ task: null, createdBy: 'ann', createdAt: '2026-01-01T00:00:00.000Z', readyAt: '2026-01-01T00:00:00.000Z', ...members },
  }
}

test.each(['exp_00000000000000000000000012', 'file-12.raw', 'disk-12', 'img_00000000000000000000000012', '000012'])('%p names one export', async (text) => {
  using it = openScriptedFleet({ 'edge-a': { 'GET /exports': page([exportOf(11), exportOf(12)]) } })
  expect((await it.run(`export delete ${text}`)).confirm?.name).toBe('file-12.raw')
})

test('a name that several exports have is refused with their ids', async () => {
  using it = openScriptedFleet({
    'edge-a': { 'GET /exports': page([exportOf(1, { imageName: 'disk' })]) },
    'edge-b': { 'GET /exports': page([exportOf(2, { imageName: 'disk' })]) },
  })
  expect((await it.run('export delete disk')).text).toBe(
    '2 exports match "disk": exp_00000000000000000000000001 (file-1.raw) in edge-a, exp_00000000000000000000000002 (file-2.raw) in edge-b.',
  )
})

test('a store whose list never ends is read up to 10,000 exports', async () => {
  let pages = 0
  const endless = () =>
    page(
      Array.from({ length: 1000 }, (_unused, i) => exportOf(pages * 1000 + i)),
      String(++pages),
    )
  using it = openScriptedFleet({ 'edge-a': { 'GET /exports': endless } })
  expect((await it.run('export delete nothing')).text).toContain('No export "nothing"')
  expect(pages).toBe(10)
})
