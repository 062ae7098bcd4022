// Which exports are findings, and what their actions do.

import { describe, expect, test } from 'bun:test'
import { mkdir } from 'node:fs/promises'
import { findExports } from '../../../agent/reconcile/find-exports.ts'
import type { FoundFinding } from '../../../agent/reconcile/finding.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import type { Export } from '../../../protocol/images/export.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

const IMAGE = 'img_00000000000000000000000001'
const READY_AT = '2026-11-21T00:00:00.000Z'

const exportOf = (changes: Partial<Export> = {}) =>
  ({ id: 'exp_1', image: IMAGE, imageName: 'debian', path: 'exports/debian.qcow2', length: 5, state: 'ready', readyAt: READY_AT, ...changes }) as Export

/** Findings among these exports; the file exports/debian.qcow2 exists unless `isGone`. */
async function find(all: readonly Export[], { isGone = false, hasImage = true }) {
  await using folder = await createTemporaryFolder()
  await mkdir(folder.file('exports'))
  if (!isGone) await Bun.write(folder.file('exports', 'debian.qcow2'), 'bytes')
  const deletions: string[] = []
  const found: FoundFinding[] = []
  const exports = { list: () => all, delete: async (id: string, actor: string) => void deletions.push(`${id} ${actor}`) }
  for await (const one of findExports({ disk: createDisk(), mount: folder.path, exports, hasImage: (id) => hasImage && id === IMAGE })) found.push(one)
  return { found, deletions }
}

describe('an export', () => {
  test('of an image that is there, with its file, is no finding', async () => {
    expect((await find([exportOf()], {})).found).toEqual([])
  })

  test('whose image is gone is deleted with its file', async () => {
    const { found, deletions } = await find([exportOf()], { hasImage: false })
    expect(found.map(({ finding }) => finding)).toEqual([
      {
        id: expect.stringMatching(/^fnd_[0-9a-f]{16}$/),
        kind: 'exportWithoutImage',
        target: 'exp_1',
        what: 'The image debian of the export exports/debian.qcow2 does not exist any more.',
        bytes: 5,
        since: READY_AT,
        action: 'remove',
        effect: 'Deletes the export with its file and frees up to 5 bytes.',
      },
    ])
    expect(await found[0]?.run('ann')).toBe('The export was deleted.')
    expect(deletions).toEqual(['exp_1 ann'])
  })

  test.each([true, false])('whose file is gone is deleted, and frees nothing, whether its image is there or not', async (hasImage) => {
    const { found } = await find([exportOf()], { isGone: true, hasImage })
    expect(found.map(({ finding }) => finding)).toMatchObject([
      {
        kind: 'exportWithoutFile',
        what: 'The file exports/debian.qcow2 of the export of image debian is gone.',
        bytes: 0,
        effect: 'Deletes the record of the export; the image can then be exported again.',
      },
    ])
    expect(await found[0]?.run('ann')).toBe('The record was deleted.')
  })

  test('that is not complete is none', async () => {
    expect((await find([exportOf({ state: 'running' as Export['state'] })], { isGone: true, hasImage: false })).found).toEqual([])
  })

  test('that was made anew is another finding', async () => {
    const idOf = async (one: Export): Promise<string | undefined> => (await find([one], { isGone: true })).found[0]?.finding.id
    expect(await idOf(exportOf())).not.toBe(await idOf(exportOf({ readyAt: '2026-11-22T00:00:00.000Z' })))
    expect((await find([exportOf({ readyAt: null })], { isGone: true })).found[0]?.finding.since).toBeNull()
  })
})
