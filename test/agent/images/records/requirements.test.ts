// Requirements come from the catalogue of operating systems, and may be overridden one by one.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { completeRequirements, ownRequirements } from '../../../../agent/images/records/requirements.ts'
import { findSystem, OPERATING_SYSTEMS, operatingSystemSchema, systemId } from '../../../../protocol/images/operating-systems.ts'
import { openImageStore, seededBytes } from '../../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

setDefaultTimeout(60_000)

const DEBIAN = { cpus: 1, memory: 536_870_912, disk: 4_294_967_296 }

test('a system is found by id and by name, and any other text stays as it is', () => {
  for (const text of ['debian-12', 'Debian 12', ' DEBIAN  12 ']) expect(findSystem(text)?.requirements).toEqual(DEBIAN)
  expect([systemId('Windows Server 2022'), systemId('My own Linux'), findSystem('debian')]).toEqual(['windows-server-2022', 'My own Linux', undefined])
  for (const system of OPERATING_SYSTEMS) expect(operatingSystemSchema.parse(system)).toEqual(system)
  expect(new Set(OPERATING_SYSTEMS.map(({ id }) => id)).size).toBe(OPERATING_SYSTEMS.length)
  for (const { id } of OPERATING_SYSTEMS) expect(id).toMatch(/^[a-z0-9.-]+$/)
})

test('what is not set comes from the catalogue, and only what differs from it is kept', () => {
  expect(completeRequirements({ os: 'debian-12', requirements: null })).toEqual(DEBIAN)
  expect(completeRequirements({ os: 'debian-12', requirements: { cpus: 4, memory: null, disk: null } })).toEqual({ ...DEBIAN, cpus: 4 })
  expect(completeRequirements({ os: 'other', requirements: null })).toBeNull()
  expect(completeRequirements({ os: null, requirements: { cpus: 2, memory: null, disk: null } })).toEqual({ cpus: 2, memory: null, disk: null })
  expect(ownRequirements({ os: 'debian-12', requirements: DEBIAN })).toBeNull()
  expect(ownRequirements({ os: 'debian-12', requirements: { ...DEBIAN, cpus: 4 } })).toEqual({ cpus: 4, memory: null, disk: null })
  expect(ownRequirements({ os: 'other', requirements: DEBIAN })).toEqual(DEBIAN)
  expect(ownRequirements({ os: 'debian-12', requirements: null })).toBeNull()
})

test('an image has the requirements of its system until they are overridden, across restarts and a change of system', async () => {
  await using folder = await createTemporaryFolder()
  let id = ''
  {
    await using store = await openImageStore(folder)
    const image = await store.add(seededBytes(1000, 1), { os: 'Debian 12' })
    id = image.id
    expect([image.os, image.requirements]).toEqual(['debian-12', DEBIAN])
    const patched = await store.catalogue.patch(id, { requirements: { cpus: 4, memory: null, disk: null } }, 'test')
    expect(patched.requirements).toEqual({ ...DEBIAN, cpus: 4 })
    // image.json stores only what was set.
    expect(JSON.parse(await Bun.file(folder.file('mount', 'images', id, 'image.json')).text()).image.requirements).toEqual({
      cpus: 4,
      memory: null,
      disk: null,
    })
  }
  await using store = await openImageStore(folder)
  const { catalogue } = store
  expect(catalogue.need(id).requirements).toEqual({ ...DEBIAN, cpus: 4 })
  expect((await catalogue.patch(id, { os: 'Windows 11' }, 'test')).requirements).toEqual({ cpus: 4, memory: 4_294_967_296, disk: 68_719_476_736 })
  expect((await catalogue.patch(id, { requirements: null }, 'test')).requirements?.cpus).toBe(2)
  expect((await catalogue.patch(id, { os: null }, 'test')).requirements).toBeNull()
  const fits = (filter: Record<string, number>) => catalogue.list(filter, { limit: 10 }).items.length
  await catalogue.patch(id, { os: 'windows-11' }, 'test')
  expect([fits({ memory: 4_294_967_296 }), fits({ memory: 4_294_967_295 }), fits({ cpus: 1 })]).toEqual([1, 0, 0])
})
