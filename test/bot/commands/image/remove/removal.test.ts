// What deleting and purging ask, check and answer: every blocker, the bounds of the question, and what is left after a part of it failed.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { blockedOnly, removalChecks, uniqueBytes } from '../../../../../bot/commands/image/remove/removal.ts'
import type { FoundImage } from '../../../../../bot/commands/image/find.ts'
import type { Image } from '../../../../../protocol/images/image.ts'
import type { View } from '../../../../../protocol/views/view.ts'
import { imageOf, openScriptedFleet, page, refuse, storeOf } from '../../scripted-fleet.ts'
import type { Asked, Script, ScriptedFleet } from '../../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

/** A store with so many images that can be deleted, purged and counted. */
function open(count: number, { members = {}, script = {} }: { readonly members?: Partial<Image>; readonly script?: Script } = {}): ScriptedFleet {
  const images = Array.from({ length: count }, (_, i) => imageOf(i + 1, { name: `disk-${i + 1}`, ...members }))
  return openScriptedFleet({
    'edge-a': {
      'GET /images': ({ query }: Asked) => page((query['status'] === 'deleted') === (members.status === 'deleted') ? images : []),
      'POST /unique-size': { uniqueSize: 1000 },
      '*': ({ request }: Asked) => {
        const image = images.find(({ id }) => request.includes(id))
        if (!request.startsWith('DELETE')) return image
        return request.includes('permanent') || members.status === 'deleted'
          ? new Response(null, { status: 204 })
          : { ...image, status: 'deleted', expiresAt: '2026-01-04T00:00:00.000Z' }
      },
      ...script,
    },
  })
}

const idOf = (n: number): string => imageOf(n).id
const names = (count: number): string => Array.from({ length: count }, (_, i) => `disk-${i + 1}`).join(' ')
/** Runs a line, and then again with what it asks for. */
async function confirmed(it: ScriptedFleet, line: string): Promise<View> {
  const asked = await it.run(line)
  return it.run(`${line} --confirm "${asked.confirm?.name ?? ''}"`)
}
const deletions = (it: ScriptedFleet): string[] => it.asked.filter((request) => request.includes('DELETE'))

describe('the checks of an image', () => {
  const found = (members: Partial<Image>): FoundImage => {
    using it = open(1)
    return { store: it.bot.fleet.registry.list()[0] as FoundImage['store'], image: imageOf(1, { name: 'disk', ...members }) }
  }

  test.each<[Partial<Image>, (string | undefined)[]]>([
    [{}, [undefined, undefined, undefined]],
    [{ protected: true }, [`protected; run image unprotect ${idOf(1)} first`, undefined, undefined]],
    [{ bindings: ['vm-7', 'vm-8'] }, [undefined, 'used by vm-7, vm-8; remove these bindings first', undefined]],
    [{ status: 'creating' }, [undefined, undefined, 'Creating; wait until it is Available or Error']],
    [{ status: 'fileUnavailable', statusReason: null }, [undefined, undefined, 'File unavailable; wait until the store can read its mount path again']],
    [
      { status: 'fileUnavailable', statusReason: 'The disk is away' },
      [undefined, undefined, 'File unavailable (The disk is away); wait until the store can read its mount path again'],
    ],
    [{ status: 'uploading' }, [undefined, undefined, undefined]],
    [{ status: 'error' }, [undefined, undefined, undefined]],
  ])('%j are blocked by %j', (members, blockers) => {
    expect(removalChecks(found(members)).map(({ passed, detail }) => (passed ? undefined : detail))).toEqual(blockers)
  })

  test('that pass say so', () => {
    expect(removalChecks(found({})).map(({ label, detail }) => `${label}: ${detail}`)).toEqual([
      'Protection of disk: none',
      'Use of disk: no instance uses it',
      'Status of disk: Available',
    ])
  })

  test('of many images are those that block, or one sentence', () => {
    expect(blockedOnly([found({}), found({ protected: true })]).map(({ label, passed }) => [label, passed])).toEqual([['Protection of disk', false]])
    expect(blockedOnly([found({})]).map(({ label, passed }) => [label, passed])).toEqual([['Nothing blocks it', true]])
  })
})

describe('what images hold', () => {
  const ask = async (count: number, script: Script = {}): Promise<[number | null, string[]]> => {
    using it = open(count, { script })
    const [store] = it.bot.fleet.registry.list()
    if (!store) throw new Error('no store')
    const found = Array.from({ length: count }, (_, i) => ({ store, image: imageOf(i + 1) }))
    const other = { store: { ...store, name: 'edge-b' }, image: imageOf(9999) }
    return [await uniqueBytes(it.bot.context({ name: 'ann', role: 'admin' }, 'console'), store, [...found, other]), it.asked]
  }

  test('is asked of their store, for at most as many as it counts together', async () => {
    expect(await ask(1)).toEqual([1000, ['edge-a POST /unique-size']])
    expect((await ask(100))[0]).toBe(1000)
    expect(await ask(101)).toEqual([null, []])
    expect(await ask(0)).toEqual([null, []])
  })

  test('is unknown where the store refuses', async () => {
    expect((await ask(1, { 'POST /unique-size': refuse('not-found', 'There is no such route.') }))[0]).toBeNull()
  })
})

describe('image delete', () => {
  test('of all images of a store needs the number of images, and no id instead', async () => {
    using it = open(1)
    const asked = await it.run('image delete all store=edge-a')
    expect([asked.confirm?.name, asked.title]).toEqual(['1 image', 'Delete 1 image'])
    expect((await it.run(`image delete all store=edge-a --confirm ${idOf(1)}`)).outcome).toBe('refused')
    expect(deletions(it)).toEqual([])
    expect((await it.run('image delete all store=edge-a --confirm "1 image"')).title).toBe('Deleted disk-1')
  })

  test('of one image takes its id for its name, and says until when it can be restored', async () => {
    using it = open(1)
    const view = await it.run(`image delete disk-1 --confirm ${idOf(1)}`)
    expect([view.title, view.text, view.actions.map(({ command }) => command)]).toEqual([
      'Deleted disk-1',
      `In the recycle bin: disk-1 until 2026-01-04 00:00:00 UTC. The space stays taken until then; to free it now: image purge ${idOf(1)}, then store cleanup edge-a.`,
      [`image restore ${idOf(1)} store=edge-a`],
    ])
  })

  test('where no recycle bin is kept deletes for good, and leads to the cleanup', async () => {
    const retention = { deletion: 'immediate', seconds: 0 } as const
    using it = open(1, { script: { 'GET /store': storeOf({ retention }), [`DELETE /images/${idOf(1)}`]: () => new Response(null, { status: 204 }) } })
    expect((await it.run('image delete disk-1')).confirm?.question).toBe(
      `disk-1 (${idOf(1)}, 600 kB) in edge-a would be deleted for good: edge-a keeps no recycle bin. In edge-a only this image holds 1.0 kB: the next cleanup frees it.`,
    )
    const view = await it.run('image delete disk-1 --confirm disk-1')
    expect([view.text, view.actions.map(({ label, command, style }) => [label, command, style])]).toEqual([
      'Deleted for good. The space is free after store cleanup edge-a.',
      [['Clean up edge-a', 'store cleanup edge-a', 'primary']],
    ])
  })

  test('where the recycle bin is kept forever says that the space stays taken', async () => {
    const retention = { deletion: 'never', seconds: 0 } as const
    for (const [count, held, whose] of [
      [1, 'this image holds', 'Its'],
      [2, 'these images hold', 'Their'],
    ] as const) {
      using it = open(count, { script: { 'GET /store': storeOf({ retention }) } })
      const { confirm } = await it.run(`image delete ${names(count)}`)
      expect(confirm?.question).toContain('would go to the recycle bin and stay there: edge-a keeps deleted images forever.')
      expect(confirm?.question).toEndWith(`In edge-a only ${held} 1.0 kB: it stays taken, because this store keeps deleted images forever.`)
      expect((await it.run(`image delete ${names(count)} --confirm "${confirm?.name}"`)).text).toEndWith(`${whose} space stays taken.`)
    }
  })

  test('of an upload cancels it', async () => {
    using it = open(1, { members: { status: 'uploading' } })
    expect((await it.run('image delete disk-1')).confirm?.question).toContain('would be cancelled: its upload has not finished, and nothing of it stays.')
  })

  test('describes ten images, and counts the rest', async () => {
    using it = open(11)
    expect((await it.run(`image delete ${names(10)}`)).confirm?.question).toMatch(/disk-10 \(\S+, 600 kB\) in edge-a would /)
    expect((await it.run(`image delete ${names(11)}`)).confirm?.question).toMatch(/disk-10 \(\S+, 600 kB\) in edge-a and 1 more would /)
  })

  test('of several of which none could be deleted says so', async () => {
    using it = open(2, {
      script: { [`DELETE /images/${idOf(1)}`]: refuse('conflict', 'Not now.'), [`DELETE /images/${idOf(2)}`]: refuse('conflict', 'Not now.') },
    })
    expect(await confirmed(it, `image delete ${names(2)}`)).toMatchObject({
      outcome: 'failed',
      tone: 'bad',
      title: 'No image was deleted',
      text: 'The notes say why.',
    })
    using one = open(2, { script: { [`DELETE /images/${idOf(2)}`]: refuse('conflict', 'Not now.') } })
    expect(await confirmed(one, `image delete ${names(2)}`)).toMatchObject({ outcome: 'failed', title: 'Deleted only 1 of 2 images' })
  })

  test('of all leaves out what is blocked, and refuses when everything is', async () => {
    using it = open(2, { members: { protected: true } })
    expect((await it.run('image delete all store=edge-a')).text).toBe('2 images cannot be deleted now: protected, in use, or not settled.')
  })

  test('of an image in a store that cannot read its mount path waits for the store', async () => {
    const check = { name: 'mount-path', state: 'failed', measured: 'Input/output error', limit: null, impact: 'No image can be read.', action: 'Mount it.' }
    using it = open(1, { script: { 'GET /health': { state: 'error', checks: [check], asOf: '2026-01-01T00:00:00.000Z' } } })
    const view = await it.run('image delete disk-1 --confirm disk-1')
    expect([view.text, view.outcome, deletions(it)]).toEqual(['edge-a cannot read its mount path, so disk-1 cannot be deleted now.', 'failed', []])
  })
})

describe('image purge', () => {
  test('of one image takes its id for its name, and leads to the cleanup', async () => {
    using it = open(1)
    const view = await it.run(`image purge disk-1 --confirm ${idOf(1)}`)
    expect([view.outcome, view.title, view.text]).toEqual(['done', 'Purged 1 image', 'Deleted for good: disk-1. The space is free after store cleanup edge-a.'])
    expect(view.rows.map(({ tone, cells }) => [tone, cells['result']])).toEqual([['good', 'deleted for good']])
    expect(deletions(it)).toHaveLength(1)
  })

  test('of an image that was restored since the question leaves it', async () => {
    const image = imageOf(1, { name: 'disk-1' })
    let looks = 0
    using it = open(1, {
      members: { status: 'deleted' },
      script: { [`GET /images/${idOf(1)}`]: () => (looks++ === 0 ? { ...image, status: 'deleted' } : image) },
    })
    const view = await it.run('image purge disk-1 --confirm disk-1')
    expect([view.outcome, view.title, view.text, deletions(it)]).toEqual([
      'failed',
      'No image was purged',
      'Nothing was deleted. Still there: disk-1; the table says why.',
      [],
    ])
    expect(view.rows[0]?.cells['result']).toBe('disk-1 was restored. Name it if you want to purge it anyway.')
  })

  test('of several of which some failed says which are left', async () => {
    using it = open(3, { script: { [`DELETE /images/${idOf(2)}`]: refuse('conflict', 'Not now.') } })
    const view = await confirmed(it, `image purge ${names(3)}`)
    expect([view.outcome, view.tone, view.title, view.text]).toEqual([
      ...['failed', 'bad', 'Purged only 2 of 3 images'],
      'Deleted for good: disk-1, disk-3. The space is free after store cleanup edge-a. Still there: disk-2; the table says why.',
    ])
    expect(view.rows.map(({ tone }) => tone)).toEqual(['good', 'good', 'bad'])
  })

  test('names ten images in its answer, and counts the rest', async () => {
    for (const [count, more] of [
      [10, ''],
      [11, ' and 1 more'],
    ] as const) {
      using it = open(count)
      expect((await it.run(`image purge ${names(count)}`)).confirm?.question).toContain(
        `disk-10 (${idOf(10)}, 600 kB) in edge-a${more} would be deleted for good`,
      )
      expect((await confirmed(it, `image purge ${names(count)}`)).text).toStartWith(`Deleted for good: ${names(10).replaceAll(' ', ', ')}${more}. The space`)
    }
  })

  test('of a recycle bin asks for the name of the store and lists only what blocks', async () => {
    using it = open(2, { members: { status: 'deleted' } })
    const { confirm, notes } = await it.run('image purge --bin store=edge-a')
    expect([confirm?.name, confirm?.checklist.map(({ label }) => label), notes]).toEqual(['edge-a', ['Nothing blocks it'], []])
    expect((await it.run(`image purge --bin store=edge-a --confirm ${idOf(1)}`)).outcome).toBe('refused')
    expect((await it.run('image purge --bin store=edge-a --confirm edge-a')).title).toBe('Purged 2 images')
  })

  test('of named images shows every check, and says nothing of further runs', async () => {
    using it = open(1)
    const { confirm, notes } = await it.run('image purge disk-1')
    expect([confirm?.checklist.map(({ label }) => label), notes]).toEqual([['Protection of disk-1', 'Use of disk-1', 'Status of disk-1'], []])
  })

  test('is refused by a store that keeps deleted images forever', async () => {
    using it = open(1, { script: { 'GET /store': storeOf({ retention: { deletion: 'never', seconds: 0 } }) } })
    const view = await it.run('image purge disk-1 --confirm disk-1')
    expect(view.outcome).toBe('refused')
    expect(JSON.stringify(view.json)).toContain('its policy keeps deleted images forever; run store edit edge-a deletion=delayed first')
    expect(deletions(it)).toEqual([])
  })
})
