// Deleted images: a button that restores each of the first ones, and what is said when it is too late.

import { expect, test } from 'bun:test'
import { imageOf, openScriptedFleet, page } from '../../scripted-fleet.ts'

const deleted = (number: number) => imageOf(number, { status: 'deleted', deletedAt: '2026-01-01T00:00:00.000Z', expiresAt: '2026-01-04T00:00:00.000Z' })

test('the first eight images of a recycle bin have a button', async () => {
  using it = openScriptedFleet({ 'edge-a': { 'GET /images': page(Array.from({ length: 9 }, (_, i) => deleted(i + 1))) } })
  const { actions, rows } = await it.run('image bin')
  expect([rows.length, actions.length]).toEqual([9, 8])
  expect(actions[0]).toEqual({ label: 'Restore disk-1', command: 'image restore img_00000000000000000000000001 store=edge-a', role: 'operator' })
  expect((await it.run('image list')).actions).toEqual([])
})

test('an image whose retention has ended cannot be restored, and the answer says why', async () => {
  using it = openScriptedFleet({ 'edge-a': { 'GET /images': page([]) } })
  const { outcome, fields } = await it.run('image restore img_00000000000000000000000001 store=edge-a')
  expect(outcome).toBe('failed')
  expect(fields).toEqual([
    { label: 'Next', value: 'List deleted images with image bin. One whose retention has ended is deleted for good and cannot be restored.' },
  ])
})
