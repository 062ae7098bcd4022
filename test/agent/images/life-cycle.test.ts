// Bindings and grants: the statuses in which an image can be bound, and the limits.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { rm, writeFile } from 'node:fs/promises'
import { decodeImageFile, encodeImageFile } from '../../../agent/images/records/image-file.ts'
import { BINDINGS_MAX, GRANTS_MAX } from '../../../agent/images/life-cycle.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { problemCode, ProblemError } from '../../../protocol/problems.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'

// Inspections and digests on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

async function codeOf(running: Promise<unknown>): Promise<string> {
  try {
    await running
  } catch (error) {
    if (error instanceof ProblemError) return problemCode(error.problem)
    throw error
  }
  return 'no problem'
}

/** Changes image.json of a closed store. */
async function rewrite(folder: TemporaryFolder, id: string, change: Partial<Image>): Promise<void> {
  const path = folder.file('mount', 'images', id, 'image.json')
  const found = await decodeImageFile(new Uint8Array(await Bun.file(path).arrayBuffer()))
  if (found.kind !== 'whole') throw new Error(found.reason)
  await writeFile(path, await encodeImageFile({ ...found.stored, image: { ...found.stored.image, ...change } }))
}

describe('an instance', () => {
  test('can be bound only to an image that is available or degraded', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const { catalogue } = store
    const bind = (id: string) => codeOf(catalogue.bind(id, 'vm-1', 'test'))
    const creating = await store.publish(seededBytes(1000, 1))
    expect([creating.status, await bind(creating.id)]).toEqual(['creating', 'wrong-status'])
    await catalogue.settled()
    expect(await bind(creating.id)).toBe('no problem')

    const empty = await store.add(new Uint8Array(0))
    expect([empty.status, await bind(empty.id)]).toEqual(['error', 'wrong-status'])

    const { id } = await store.add(seededBytes(1000, 2))
    await catalogue.markDamaged([`image ${id}`], 'a disk died.')
    expect([catalogue.need(id).status, await bind(id)]).toEqual(['degraded', 'no problem'])

    const deleted = await store.add(seededBytes(1000, 3))
    await catalogue.delete(deleted.id, 'test')
    expect(await bind(deleted.id)).toBe('wrong-status')
    expect(catalogue.need(deleted.id).bindings).toEqual([])
  })

  test('that is already bound stays bound in any status of the image', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const { id } = await store.add(seededBytes(1000, 1))
    const bound = await store.catalogue.bind(id, 'vm-1', 'test')
    await rm(folder.file('mount', 'images', id, 'manifest'))
    expect(await store.catalogue.isWhole(id)).toBe(false)
    expect(store.catalogue.need(id).status).toBe('error')
    expect((await store.catalogue.bind(id, 'vm-1', 'test')).bindings).toEqual(bound.bindings)
    expect((await store.catalogue.unbind(id, 'vm-1', 'test')).bindings).toEqual([])
  })
})

test('an image has at most 1000 bindings and 1000 grants', async () => {
  expect([BINDINGS_MAX, GRANTS_MAX]).toEqual([1000, 1000])
  await using folder = await createTemporaryFolder()
  const names = Array.from({ length: 999 }, (_, i) => `vm-${String(i).padStart(4, '0')}`)
  let id = ''
  {
    await using store = await openImageStore(folder)
    id = (await store.add(seededBytes(1000, 1))).id
  }
  await rewrite(folder, id, { bindings: names, grants: names.map((subject) => ({ subject, rights: ['read', 'use'] })) })
  await using store = await openImageStore(folder)
  const { catalogue } = store
  const grant = (subject: string): Promise<Image> => catalogue.grant(id, { subject, rights: ['read', 'use'] }, 'test')
  const subjects = (image: Image): string[] => image.grants.map(({ subject }) => subject)
  for (const [add, remove, membersOf] of [
    [(name: string) => catalogue.bind(id, name, 'test'), (name: string) => catalogue.unbind(id, name, 'test'), (image: Image) => image.bindings],
    [grant, (name: string) => catalogue.revoke(id, name, 'test'), subjects],
  ] as const) {
    expect(membersOf(await add('vm-last'))).toHaveLength(1000)
    expect(await codeOf(add('vm-more'))).toBe('limit-reached')
    // An existing binding or grant is not counted twice.
    expect(membersOf(await add('vm-last'))).toHaveLength(1000)
    expect(membersOf(await remove('vm-0000'))).toHaveLength(999)
    expect(await codeOf(add('vm-more'))).toBe('no problem')
    expect(membersOf(catalogue.need(id))).toEqual([...names.slice(1), 'vm-last', 'vm-more'].toSorted())
  }
  // A full list of grants can still be changed.
  expect((await catalogue.grant(id, { subject: 'vm-last', rights: ['export'] }, 'test')).grants).toContainEqual({
    subject: 'vm-last',
    rights: ['read', 'export'],
  })
})

test('the grants of an earlier version, which are names, have the rights read and use', async () => {
  await using folder = await createTemporaryFolder()
  let id = ''
  {
    await using store = await openImageStore(folder)
    id = (await store.add(seededBytes(1000, 1))).id
  }
  await rewrite(folder, id, { grants: ['group:ops', 'user:ann'] as unknown as Image['grants'] })
  await using store = await openImageStore(folder)
  expect(store.catalogue.need(id)).toMatchObject({
    status: 'available',
    grants: [
      { subject: 'group:ops', rights: ['read', 'use'] },
      { subject: 'user:ann', rights: ['read', 'use'] },
    ],
  })
})
