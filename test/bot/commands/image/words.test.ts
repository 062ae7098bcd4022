// What people read about images: what a deletion does under each policy and status, what blocks it, and the next step for each status.

import { describe, expect, test } from 'bun:test'
import type { Image, ImageStatus } from '../../../../protocol/images/image.ts'
import type { Store } from '../../../../protocol/store.ts'
import { imageOf, openScriptedFleet, page, refuse, storeOf } from '../scripted-fleet.ts'
import type { Asked } from '../scripted-fleet.ts'

const ID = 'img_00000000000000000000000001'

/** A fleet with one image in `edge-a`. */
function open(image: Partial<Image> = {}, retention: Store['retention'] = { deletion: 'delayed', seconds: 259_200 }, uniqueSize: number | null = 150_000) {
  const one = imageOf(1, image)
  return openScriptedFleet({
    'edge-a': {
      'GET /store': storeOf({ retention }),
      'GET /images': ({ query }: Asked) => page((query['status'] === 'deleted') === (one.status === 'deleted') ? [one] : []),
      [`GET /images/${ID}`]: one,
      'POST /unique-size': uniqueSize === null ? refuse('not-found', 'x') : { uniqueSize },
      [`DELETE /images/${ID}`]:
        retention.deletion === 'immediate' ? new Response(null, { status: 204 }) : { ...one, status: 'deleted', expiresAt: '2026-01-04T00:00:00.000Z' },
    },
  })
}

const NAMED = `disk-1 (${ID}, 600 kB) in edge-a`

describe('the question of image delete', () => {
  test.each<[retention: Store['retention'], image: Partial<Image>, question: string]>([
    [
      { deletion: 'delayed', seconds: 259_200 },
      {},
      `${NAMED} would go to the recycle bin for 3 d, and then be deleted for good. In edge-a only this image holds 150 kB: it stays taken for 3 d; image purge and then store cleanup free it at once.`,
    ],
    [
      { deletion: 'immediate', seconds: 0 },
      {},
      `${NAMED} would be deleted for good: edge-a keeps no recycle bin. In edge-a only this image holds 150 kB: the next cleanup frees it.`,
    ],
    [
      { deletion: 'never', seconds: 0 },
      {},
      `${NAMED} would go to the recycle bin and stay there: edge-a keeps deleted images forever. In edge-a only this image holds 150 kB: it stays taken, because this store keeps deleted images forever.`,
    ],
    [
      { deletion: 'delayed', seconds: 259_200 },
      { status: 'uploading' },
      `${NAMED} would be cancelled: its upload has not finished, and nothing of it stays. In edge-a only this image holds 150 kB: it stays taken for 3 d; image purge and then store cleanup free it at once.`,
    ],
    [
      { deletion: 'immediate', seconds: 0 },
      { status: 'pending' },
      `${NAMED} would be cancelled: its upload has not finished, and nothing of it stays. In edge-a only this image holds 150 kB: the next cleanup frees it.`,
    ],
  ])('under %j for %j', async (retention, image, question) => {
    using it = open(image, retention)
    const view = await it.run('image delete disk-1')
    expect(view.confirm).toMatchObject({ name: 'disk-1', question })
    expect(view.text).toBe(`${question} To confirm, type the name: --confirm "disk-1".`)
    expect(it.asked.filter((line) => line.includes('DELETE'))).toEqual([])
  })

  test('leaves out what the store cannot count', async () => {
    using it = open({}, undefined, null)
    expect((await it.run('image delete disk-1')).confirm?.question).toBe(`${NAMED} would go to the recycle bin for 3 d, and then be deleted for good.`)
  })

  test.each<[retention: Store['retention'], text: string, actions: string[]]>([
    [
      { deletion: 'delayed', seconds: 259_200 },
      `In the recycle bin: disk-1 until 2026-01-04 00:00:00 UTC. The space stays taken until then; to free it now: image purge ${ID}, then store cleanup edge-a.`,
      [`image restore ${ID} store=edge-a`],
    ],
    [{ deletion: 'immediate', seconds: 0 }, 'Deleted for good. The space is free after store cleanup edge-a.', ['store cleanup edge-a']],
    [
      { deletion: 'never', seconds: 0 },
      'In the recycle bin: disk-1 until 2026-01-04 00:00:00 UTC. Its space stays taken.',
      [`image restore ${ID} store=edge-a`],
    ],
  ])('and its answer under %j', async (retention, text, actions) => {
    using it = open({}, retention)
    const view = await it.run(`image delete disk-1 --confirm ${ID}`)
    expect([view.outcome, view.title, view.text, view.actions.map(({ command }) => command)]).toEqual(['done', 'Deleted disk-1', text, actions])
  })
})

describe('what blocks a deletion', () => {
  test.each<[image: Partial<Image>, blocked: string | undefined]>([
    [{}, undefined],
    [{ protected: true }, `Protection of disk-1: protected; run image unprotect ${ID} first.`],
    [{ bindings: ['vm-1', 'vm-2'] }, 'Use of disk-1: used by vm-1, vm-2; remove these bindings first.'],
    [{ status: 'creating' }, 'Status of disk-1: Creating; wait until it is Available or Error.'],
    [{ status: 'uploading' }, undefined],
    [{ status: 'pending' }, undefined],
    [{ status: 'degraded' }, undefined],
    [{ status: 'error' }, undefined],
    [{ status: 'deleting' }, undefined],
    [{ status: 'fileUnavailable', statusReason: 'EIO' }, 'Status of disk-1: File unavailable (EIO); wait until the store can read its mount path again.'],
    [{ status: 'fileUnavailable' }, 'Status of disk-1: File unavailable; wait until the store can read its mount path again.'],
  ])('%j: %s', async (image, blocked) => {
    for (const verb of ['delete', 'purge']) {
      using it = open(image)
      const view = await it.run(`image ${verb} disk-1 --confirm disk-1`)
      expect(view.outcome).toBe(blocked === undefined ? 'done' : 'refused')
      if (blocked !== undefined) expect(view.text).toBe(`Not possible now. ${blocked} Nothing was changed.`)
      expect(it.asked.some((line) => line.includes('DELETE'))).toBe(blocked === undefined)
    }
  })
})

describe('image show', () => {
  test.each<[status: ImageStatus, word: string, tone: string, next: string | undefined, button: string]>([
    ['available', 'Available', 'good', undefined, 'Delete (recycle bin for 3 d)'],
    [
      'degraded',
      'Degraded',
      'warning',
      `image sync ${ID} to=edge-a fetches the damaged parts from another store that has the image.`,
      'Delete (recycle bin for 3 d)',
    ],
    ['error', 'Error', 'bad', 'Upload it again, or sync it from another store; then image purge the copy in error.', 'Delete (recycle bin for 3 d)'],
    ['creating', 'Creating', 'plain', 'task list store=edge-a shows its inspection.', 'Delete (recycle bin for 3 d)'],
    ['uploading', 'Uploading', 'plain', 'upload list store=edge-a shows its upload; upload cancel ends it.', 'Cancel upload'],
    ['pending', 'Pending', 'plain', 'upload list store=edge-a shows its upload; upload cancel ends it.', 'Cancel upload'],
    ['deleting', 'Deleting', 'plain', 'store cleanup edge-a finishes the removal.', 'Delete (recycle bin for 3 d)'],
    ['deleted', 'Deleted', 'plain', `image restore ${ID} brings it back; image purge deletes it for good.`, 'Restore'],
    [
      'fileUnavailable',
      'File unavailable',
      'bad',
      'store health edge-a says why the files cannot be read. The image is available again once they can.',
      'Delete (recycle bin for 3 d)',
    ],
  ])('of an image that is %s', async (status, word, tone, next, button) => {
    using it = open({ status })
    const view = await it.run('image show disk-1')
    const field = (label: string) => view.fields.find((one) => one.label === label)
    expect<unknown[]>([view.title, view.tone, field('Status')?.value, field('Next')?.value]).toEqual(['Image disk-1', tone, word, next])
    expect(view.actions.map(({ label }) => label)).toEqual([button])
  })

  test('shows what is known, and leaves out what is not', async () => {
    const values = async (image: Partial<Image>): Promise<Record<string, string>> => {
      using it = open(image)
      return Object.fromEntries((await it.run('image show disk-1')).fields.map(({ label, value }) => [label, value]))
    }
    expect(await values({})).toEqual({
      ...{ Name: 'disk-1', Id: ID, Status: 'Available', Stores: 'edge-a (Available)', Kind: 'system', Format: 'raw' },
      ...{ Length: '600 kB', 'Virtual size': '600 kB', 'Stored size': '200 kB', 'SHA-256': 'being computed in the background', Manifest: '–' },
      ...{ Source: 'upload', Owner: '–', Protected: 'no', Access: 'every viewer', 'In use by': 'nothing', Created: '2026-01-01 00:00:00 UTC' },
    })
    const whole = await values({
      ...{
        uniqueSize: 0,
        digest: `sha256:${'1'.repeat(64)}`,
        manifestDigest: `sha256:${'2'.repeat(64)}`,
        description: 'Base',
        os: 'debian-12',
        cloudInit: false,
      },
      ...{ requirements: { cpus: 1, memory: 2_000_000_000, disk: null }, mediaGroup: 'g', hidden: true, labels: { env: 'production', team: '' } },
      ...{ sourceInstance: 'vm-9', source: { kind: 'upload', uploadId: null, storeId: null, url: null, filename: 'a.raw', device: 'laptop' } },
      ...{ owner: 'web', protected: true, bindings: ['vm-1', 'vm-2'], availableAt: '2026-01-02T00:00:00.000Z' },
    })
    expect(whole).toMatchObject({
      ...{ 'Purging frees': '0 B', 'SHA-256': `sha256:${'1'.repeat(64)}`, Manifest: `sha256:${'2'.repeat(64)}`, Description: 'Base', 'cloud-init': 'no' },
      ...{ Needs: '1 CPU, 2.0 GB of memory', 'Media group': 'g (hidden)', Labels: 'env=production, team', 'Made from instance': 'vm-9' },
      ...{ Source: 'upload of a.raw from laptop', Owner: 'web', Protected: 'yes', Access: 'only its owner and operators, because its media group is hidden' },
      ...{ 'In use by': 'vm-1, vm-2', Published: '2026-01-02 00:00:00 UTC' },
    })
    expect(await values({ grants: [{ subject: 'user:ann', rights: ['read', 'use'] }], hidden: true })).toMatchObject({ Access: 'user:ann (read, use)' })
    expect(await values({ status: 'deleted', deletedAt: '2026-01-02T00:00:00.000Z' })).toMatchObject({ Deleted: '2026-01-02 00:00:00 UTC, kept forever' })
    expect(await values({ status: 'deleted', deletedAt: '2026-01-02T00:00:00.000Z', expiresAt: '2026-01-05T00:00:00.000Z' })).toMatchObject({
      Deleted: '2026-01-02 00:00:00 UTC, deleted for good 2026-01-05 00:00:00 UTC',
    })
  })
})
