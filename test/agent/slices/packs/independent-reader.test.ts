// docs/format.md is exact: a reader written from it alone reads what the store wrote, and refuses what is damaged.

import { describe, expect } from 'bun:test'
import { join } from 'node:path'
import { prepareStore } from '../../../../agent/commands/parts/store-file.ts'
import { writePackFooter } from '../../../../agent/slices/packs/pack-footer.ts'
import { readPack } from '../../../../agent/slices/packs/pack-scan.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { openImageStore } from '../../../support/images/image-store.ts'
import { requireTool } from '../../../support/require.ts'
import { contentOf, damage, filesBelow } from '../../../support/images/slice-model.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'

const READER = join(import.meta.dirname, 'independent_reader.py')
const pythonTest = requireTool('python3', 'python3')

const CONTENTS = {
  mixed: contentOf([
    { kind: 'text', length: 30_000, seed: 1 },
    { kind: 'zeros', length: 1_000_000, seed: 0 },
    { kind: 'noise', length: 10_001, seed: 2 },
  ]),
  repeated: contentOf([
    { kind: 'zeros', length: 8192, seed: 0 },
    { kind: 'text', length: 30_000, seed: 1 },
    { kind: 'zeros', length: 100, seed: 0 },
  ]),
  zeros: Buffer.alloc(300_000),
  byte: Buffer.from('x'),
}

interface ReaderOutcome {
  readonly exitCode: number
  readonly report: unknown
  readonly complaint: string
  readonly bytes: Buffer
}

async function read(folder: string, ...what: string[]): Promise<ReaderOutcome> {
  const output = join(folder, 'output')
  await Bun.write(output, '')
  const child = Bun.spawn(['python3', '-B', READER, join(folder, 'mount'), ...what, output], { stdout: 'pipe', stderr: 'pipe' })
  const [stdout, complaint, exitCode] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited])
  return { exitCode, report: exitCode === 0 ? JSON.parse(stdout) : undefined, complaint, bytes: Buffer.from(await Bun.file(output).arrayBuffer()) }
}

/** Seals the only pack, as a store does when the pack is full. */
async function seal(mount: string): Promise<void> {
  const [pack = ''] = await filesBelow(mount, '.pack')
  await using file = await createDisk().openWrite(pack, 'existing')
  const { rows, end } = await readPack(file)
  await writePackFooter(file, rows, end)
}

/** Creates an empty store. */
async function prepareMount(folder: TemporaryFolder): Promise<void> {
  const places = { mount: folder.file('mount'), state: folder.file('state') }
  for (const path of Object.values(places)) await createDisk().makeFolder(path)
  await prepareStore(createDisk(), places, createMemoryLog())
}

describe('a reader written from docs/format.md', () => {
  pythonTest(
    'reads every image as the store does, from sealed and unsealed packs',
    async () => {
      await using folder = await createTemporaryFolder()
      await prepareMount(folder)
      const ids = new Map<string, Buffer>()
      const names = Object.keys(CONTENTS) as (keyof typeof CONTENTS)[]
      for (const name of names) {
        await using store = await openImageStore(folder)
        const { id } = await store.add(CONTENTS[name], { name })
        ids.set(id, CONTENTS[name])
        await store[Symbol.asyncDispose]()
        if (name === 'mixed') await seal(folder.file('mount'))
      }
      await using store = await openImageStore(folder)
      for (const [id, bytes] of ids) {
        const outcome = await read(folder.path, id)
        expect(outcome.complaint).toBe('')
        expect(outcome.bytes.equals(bytes)).toBe(true)
        const image = store.catalogue.need(id)
        expect(outcome.report).toMatchObject({ length: bytes.length, digest: image.digest, manifestDigest: image.manifestDigest })
        const byManifest = await read(folder.path, '--manifest', folder.file('mount', 'images', id, 'manifest'))
        expect(byManifest.bytes.equals(bytes)).toBe(true)
      }
    },
    30_000,
  )

  pythonTest(
    'refuses what is damaged',
    async () => {
      await using folder = await createTemporaryFolder()
      await prepareMount(folder)
      let id = ''
      {
        await using store = await openImageStore(folder)
        id = (await store.add(CONTENTS.mixed, { name: 'mixed' })).id
      }
      const [pack = ''] = await filesBelow(folder.file('mount'), '.pack')
      for (const [path, offset] of [
        [folder.file('mount', 'images', id, 'manifest'), 50],
        [folder.file('mount', 'images', id, 'image.json'), 150],
        [pack, 16 + 30],
        [pack, 16 + 64 + 30],
      ] as const) {
        await damage(path, offset)
        expect(await read(folder.path, id)).toMatchObject({ exitCode: 1, complaint: expect.stringContaining('damaged') })
        await damage(path, offset)
      }
      expect(await read(folder.path, id)).toMatchObject({ exitCode: 0 })
    },
    30_000,
  )
})
