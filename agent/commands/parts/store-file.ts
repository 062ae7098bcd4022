// store.json on the mount path: what makes a folder a store, wherever it is attached, and its two copies, from which `recover` restores it
// (docs/format.md, "store.json").

import { join } from 'node:path'
import { z } from 'zod'
import { isCutterValid } from '../../../protocol/slices/cutter.ts'
import { errorText, hasCode } from '../../../protocol/errors.ts'
import { isDiskFull } from '../../contract/failures.ts'
import type { Disk } from '../../contract/disk.ts'
import type { Log } from '../../contract/runtime.ts'
import { CUTTER_DEFAULT } from '../../slices/packs/parameters.ts'
import { StartRefused } from '../start-refused.ts'

/** Version of the whole layout of the mount path. */
export const STORE_FORMAT = 1

export const STORE_FILE = 'store.json'
/** Copy of the file on the mount path, which moves with the store. */
export const STORE_COPY = 'store.json.bak'
/** Copy of the file in the state folder, which survives damage to the mount path. */
export const STATE_COPY = 'store.json'
const STORE_FILE_BYTES_MAX = 64 * 1024

/** Folders of a store beside its file. */
export const STORE_FOLDERS = ['packs', 'images', 'uploads', 'inbox', 'exports', 'quarantine', 'usage'] as const

const storeFileSchema = z.object({
  format: z.int().min(1),
  uuid: z.uuid(),
  cutter: z.object({ block: z.int(), minimum: z.int(), average: z.int(), maximum: z.int() }).refine(isCutterValid, 'is not a cutter'),
  digest: z.literal('sha256'),
})

export type StoreFile = z.infer<typeof storeFileSchema>

/** Where a store and its state are. */
export interface StorePlaces {
  readonly mount: string
  readonly state: string
}

/** What a mount path holds: a store, nothing yet, or a store whose file is damaged or missing. */
export type FoundStore =
  | { readonly kind: 'present'; readonly store: StoreFile }
  | { readonly kind: 'none' }
  | { readonly kind: 'lost'; readonly fault: string; readonly copy: { readonly path: string; readonly store: StoreFile } | undefined }

/** Looks for the store on a mount path and changes nothing. Throws StartRefused for a newer format, and where file and copy name different stores. */
export async function findStore(disk: Disk, places: StorePlaces): Promise<FoundStore> {
  const { mount } = places
  const path = join(mount, STORE_FILE)
  const [file, copy] = [await readStoreFile(disk, path), await readStoreFile(disk, join(mount, STORE_COPY))]
  if (file.kind === 'valid') {
    if (copy.kind === 'valid' && copy.store.uuid !== file.store.uuid)
      throw new StartRefused(
        `${path} names the store ${file.store.uuid}, but its copy ${join(mount, STORE_COPY)} names ${copy.store.uuid}. Compare both with the UUID that "store show" prints, and replace the wrong file by the other one.`,
      )
    return { kind: 'present', store: file.store }
  }
  if (file.kind === 'missing' && copy.kind === 'missing' && !(await hasContents(disk, mount))) return { kind: 'none' }
  const fault = file.kind === 'missing' ? 'missing' : `damaged (${file.reason})`
  for (const at of [join(mount, STORE_COPY), join(places.state, STATE_COPY)]) {
    const found = await readStoreFile(disk, at)
    if (found.kind === 'valid') return { kind: 'lost', fault, copy: { path: at, store: found.store } }
  }
  return { kind: 'lost', fault, copy: undefined }
}

/** Returns the refusal of a store whose file is lost. `owner` is the UUID that the state folder remembers. */
export function refuseLost({ mount, state }: StorePlaces, { fault, copy }: FoundStore & { kind: 'lost' }, owner: string | undefined): StartRefused {
  const path = join(mount, STORE_FILE)
  if (copy)
    return new StartRefused(
      `${path} is ${fault}. Packs and images are not affected. ${copy.path} is a verified copy of it. Run "slipway-agent recover", which restores it.`,
    )
  const line = JSON.stringify({ format: STORE_FORMAT, uuid: owner ?? 'UUID', cutter: CUTTER_DEFAULT, digest: 'sha256' })
  return new StartRefused(
    `${path} is ${fault}, and there is no copy of it in ${join(mount, STORE_COPY)} or ${join(state, STATE_COPY)}. Packs and images are not affected. Restore it from a backup, or write it again${owner === undefined ? ' with the UUID that "store show" prints' : ''}: ${line}`,
  )
}

/**
 * Creates what is missing of a store: its folders, store.json with a new UUID where there was no store, or from its copy where it was lost, and
 * the copies. To be called while the lease is held, with a store that is not lost beyond its copies.
 */
export async function prepareStore(disk: Disk, places: StorePlaces, log: Log): Promise<StoreFile> {
  const { mount, state } = places
  for (const folder of STORE_FOLDERS) await disk.makeFolder(join(mount, folder))
  const found = await findStore(disk, places)
  if (found.kind === 'lost' && !found.copy) throw refuseLost(places, found, undefined)
  const store = found.kind === 'present' ? found.store : (found.kind === 'lost' && found.copy?.store) || newStore()
  const text = `${JSON.stringify(store, null, 2)}\n`
  if (found.kind !== 'present') await disk.writeFileAtomic(join(mount, STORE_FILE), text)
  for (const path of [join(mount, STORE_COPY), join(state, STATE_COPY)]) await keepCopy(disk, path, text, log)
  return store
}

function newStore(): StoreFile {
  return { format: STORE_FORMAT, uuid: crypto.randomUUID(), cutter: { ...CUTTER_DEFAULT }, digest: 'sha256' }
}

/** Writes a copy unless it is there already. A full disk must not keep out the agent that could clean it. */
async function keepCopy(disk: Disk, path: string, text: string, log: Log): Promise<void> {
  const found = await readStoreFile(disk, path)
  if (found.kind === 'valid' && JSON.stringify(found.store) === JSON.stringify(JSON.parse(text))) return
  try {
    await disk.writeFileAtomic(path, text)
  } catch (error) {
    if (!isDiskFull(error)) throw error
    log.warn('the copy of store.json could not be written; the next start tries again', { path, error })
  }
}

type Reading = { readonly kind: 'valid'; readonly store: StoreFile } | { readonly kind: 'missing' } | { readonly kind: 'damaged'; readonly reason: string }

/** Reads store.json or a copy of it. Throws StartRefused for a newer format. */
async function readStoreFile(disk: Disk, path: string): Promise<Reading> {
  let document: unknown
  try {
    const bytes = await disk.readFile(path, STORE_FILE_BYTES_MAX)
    document = JSON.parse(new TextDecoder().decode(bytes))
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return { kind: 'missing' }
    if (error instanceof SyntaxError) return { kind: 'damaged', reason: 'it is not valid JSON' }
    if (error instanceof RangeError) return { kind: 'damaged', reason: errorText(error) }
    throw error
  }
  const format = z.object({ format: z.int() }).safeParse(document).data?.format
  if (format !== undefined && format > STORE_FORMAT)
    throw new StartRefused(`${path} has format ${format}, and this agent supports formats up to ${STORE_FORMAT}. Install a newer agent.`)
  const parsed = storeFileSchema.safeParse(document)
  if (parsed.success) return { kind: 'valid', store: parsed.data }
  const issue = parsed.error.issues[0]
  return { kind: 'damaged', reason: `${issue?.path.join('.')} ${issue?.message}` }
}

async function hasContents(disk: Disk, mount: string): Promise<boolean> {
  for (const folder of ['packs', 'images']) if ((await disk.list(join(mount, folder))).length > 0) return true
  return false
}
