// store.json on the mount path: what makes a folder a store, wherever it is attached (docs/format.md, "store.json").

import { join } from 'node:path'
import { z } from 'zod'
import type { Disk } from '../contract/disk.ts'
import { isCutterValid } from '../../protocol/cutter.ts'
import { CUTTER_DEFAULT } from '../slices/packs/parameters.ts'
import { StartRefused } from './start-refused.ts'

/** Version of the whole layout of the mount path. */
export const STORE_FORMAT = 1

export const STORE_FILE = 'store.json'
const STORE_FILE_BYTES_MAX = 64 * 1024

/** Folders of a store beside its file. */
export const STORE_FOLDERS = ['packs', 'images', 'uploads', 'inbox', 'exports', 'quarantine'] as const

const storeFileSchema = z.object({
  format: z.int().min(1),
  uuid: z.uuid(),
  cutter: z.object({ block: z.int(), minimum: z.int(), average: z.int(), maximum: z.int() }).refine(isCutterValid, 'is not a cutter'),
  digest: z.literal('sha256'),
})

export type StoreFile = z.infer<typeof storeFileSchema>

/** Reads store.json; undefined on a mount path that is no store yet. Throws StartRefused for one that cannot be used. */
export async function readStoreFile(disk: Disk, mount: string): Promise<StoreFile | undefined> {
  const path = join(mount, STORE_FILE)
  if ((await disk.stat(path)) === undefined) return undefined
  const text = new TextDecoder().decode(await disk.readFile(path, STORE_FILE_BYTES_MAX))
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch (error) {
    throw new StartRefused(
      `${path} is damaged: it is not valid JSON. Restore it from a backup or from evidence of this store; its packs and images are not touched.`,
      {
        cause: error,
      },
    )
  }
  const format = z.object({ format: z.int() }).safeParse(document).data?.format
  if (format !== undefined && format > STORE_FORMAT)
    throw new StartRefused(`${path} has format ${format}, and this agent knows formats up to ${STORE_FORMAT}. Install a newer agent.`)
  const parsed = storeFileSchema.safeParse(document)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new StartRefused(
    `${path} is damaged: ${issue?.path.join('.')} ${issue?.message}. Restore it from a backup or from evidence of this store; its packs and images are not touched.`,
  )
}

/** Makes what is missing of a store's folders, and store.json with a new UUID when there is none. */
export async function prepareStore(disk: Disk, mount: string): Promise<StoreFile> {
  for (const folder of STORE_FOLDERS) await disk.makeFolder(join(mount, folder))
  const present = await readStoreFile(disk, mount)
  if (present) return present
  const store: StoreFile = { format: STORE_FORMAT, uuid: crypto.randomUUID(), cutter: { ...CUTTER_DEFAULT }, digest: 'sha256' }
  await disk.writeFileAtomic(join(mount, STORE_FILE), `${JSON.stringify(store, null, 2)}\n`)
  return store
}
