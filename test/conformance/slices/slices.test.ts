// The contract of agent/contract/slices.ts, run on every slice store: the one on disk, and the one in memory that tests of other parts use.
// A case that needs a capability which a subject does not have is not run on it.

import { describe, test } from 'bun:test'
import type { ManifestEntry } from '../../../protocol/slices/manifest.ts'
import { encodeManifest } from '../../../protocol/slices/manifest.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { openStore, readBack } from '../../support/images/slice-model.ts'
import { createFaultyDisk } from '../../support/machine/faulty-disk.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { createMemorySlices, MEMORY_CUTTER } from '../../support/memory/memory-slices.ts'
import type { Capability, Subject } from './case.ts'
import { INGEST_CASES } from './ingest-cases.ts'
import { GC_CASES, READ_CASES, RECEIVE_CASES } from './receive-cases.ts'

async function openOnDisk(): Promise<Subject> {
  const folder = await createTemporaryFolder()
  await createDisk().makeFolder(folder.file('mount'))
  const disk = await createFaultyDisk(folder.file('mount'))
  let live: readonly ManifestEntry[] = []
  const roots = { list: () => [{ name: 'image', entries: () => live }] }
  const slices = await openStore({ folder: folder.path, disk, roots: [roots], cutter: MEMORY_CUTTER, packSealBytes: 1024 * 1024 })
  return {
    slices,
    provider: slices,
    maintenance: slices,
    content: async (entries) => readBack(slices, (await encodeManifest(entries)).manifest),
    async collect(entries) {
      live = entries
      return (await slices.gc({ dryRun: false })).slicesDead
    },
    fillDisk: () => disk.plan({ at: 1, fault: 'ENOSPC', lasting: true }),
    emptyDisk: () => disk.clearFault(),
    async [Symbol.asyncDispose]() {
      disk.clearFault()
      await slices[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

async function openInMemory(): Promise<Subject> {
  const slices = createMemorySlices()
  return {
    slices,
    content: async (entries) => Buffer.from(slices.read(entries)),
    collect: async (live) => slices.sweep(live),
    fillDisk: () => void (slices.freeBytes = 0),
    emptyDisk: () => void (slices.freeBytes = Number.POSITIVE_INFINITY),
    async [Symbol.asyncDispose]() {},
  }
}

const SUBJECTS: readonly { readonly name: string; readonly capabilities: readonly Capability[]; readonly open: () => Promise<Subject> }[] = [
  { name: 'on disk', capabilities: ['ranges', 'frames', 'maintenance'], open: openOnDisk },
  { name: 'in memory', capabilities: [], open: openInMemory },
]

for (const { name, capabilities, open } of SUBJECTS) {
  describe(`slice store ${name}`, () => {
    for (const { name: behaviour, needs, run } of [...INGEST_CASES, ...RECEIVE_CASES, ...GC_CASES, ...READ_CASES]) {
      if (needs !== undefined && !capabilities.includes(needs)) continue
      test(behaviour, async () => {
        await using subject = await open()
        await run(subject)
      })
    }
  })
}
