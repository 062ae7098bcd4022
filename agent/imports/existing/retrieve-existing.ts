// Imports the image files that lie on the mount path beside the store, and leaves them where they are. A record of each file, written before its
// import, keeps a later start from importing it again, even after its image was deleted.

import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { z } from 'zod'
import { errorText, hasCode } from '../../../protocol/errors.ts'
import { newId } from '../../../protocol/ids.ts'
import { nameSchema } from '../../../protocol/images/image.ts'
import type { Disk } from '../../contract/disk.ts'
import type { Clock, CrashPoint, Log } from '../../contract/runtime.ts'
import type { EmitEvent } from '../../contract/work.ts'
import type { FoundFile, ImportFile } from '../file-import.ts'
import { findWriters } from '../local/file-writers.ts'
import { isSameFile } from '../local/local-file.ts'
import { EXISTING_ENTRIES_MAX, findExisting } from './existing-files.ts'
import type { ExistingFile } from './existing-files.ts'

/** How often the mount path is searched, in milliseconds. A file is taken when it is the same in two searches and nobody writes to it. */
export const SEARCH_MS = 600_000
/** Time between the first two searches, and to the search that follows a new or changed file. It doubles while files keep changing. */
const SETTLE_MS = 10_000

/** Folder of the records on the mount path, and the longest of them in bytes. */
export const RECORD_FOLDER = 'existing'
const RECORD_BYTES_MAX = 64 * 1024

const recordSchema = z.object({
  path: z.string(),
  identity: z.object({ inode: z.string(), length: z.int().min(0), modifiedNs: z.string() }),
  uploadId: z.string(),
  imageId: z.string(),
  /** Null while the import is not done. */
  outcome: z.enum(['imported', 'refused']).nullable(),
})

type Record = z.infer<typeof recordSchema>

export interface RetrieveDeps {
  readonly mount: string
  /** Names at the top of the mount path that belong to the store. */
  readonly ownFolders: ReadonlySet<string>
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  readonly emit: EmitEvent
  readonly crashPoint: CrashPoint
  readonly random: (length: number) => Uint8Array
  readonly importFile: ImportFile
  /** Removes what a refused import left. */
  readonly removeImage: (id: string) => Promise<void>
}

/** Searches and imports, one file at a time, until disposed. */
export async function openRetrieval(deps: RetrieveDeps): Promise<AsyncDisposable> {
  await deps.disk.makeFolder(join(deps.mount, RECORD_FOLDER))
  const stopping = new AbortController()
  const running = retrieveForever(deps, stopping.signal)
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort(new Error('the agent is stopping'))
      await running
    },
  }
}

async function retrieveForever(deps: RetrieveDeps, signal: AbortSignal): Promise<void> {
  let before: ReadonlyMap<string, ExistingFile> | undefined
  let settleMs = SETTLE_MS
  while (!signal.aborted) {
    try {
      const { files, isCut } = await findExisting(deps.mount, deps.ownFolders, signal)
      if (isCut) deps.log.warn('the mount path has more entries than are searched for images', { limit: EXISTING_ENTRIES_MAX })
      const same = files.filter(({ path, identity }) => isSameFile(before?.get(path)?.identity ?? NO_FILE, identity))
      const written = await findWriters(new Set(same.map(({ fileKey }) => fileKey)))
      for (const file of same) if (!written.has(file.fileKey) && !(await retrieve(deps, file, signal))) break
      const isSettled = before !== undefined && same.length === files.length
      before = new Map(files.map((file) => [file.path, file]))
      await deps.clock.sleep(isSettled ? SEARCH_MS : settleMs, signal)
      settleMs = isSettled ? SETTLE_MS : Math.min(2 * settleMs, SEARCH_MS)
    } catch (error) {
      if (signal.aborted) return
      deps.log.warn('the search for existing images failed and is repeated', { error })
      await deps.clock.sleep(SEARCH_MS, signal).catch(() => {})
    }
  }
}

const NO_FILE = { inode: '', length: -1, modifiedNs: '' }

/** Imports a file unless that was done before. Returns false when the store cannot take images now. */
async function retrieve(deps: RetrieveDeps, file: ExistingFile, signal: AbortSignal): Promise<boolean> {
  const { clock, crashPoint, emit, importFile, random, removeImage } = deps
  const earlier = await readRecord(deps, file.path)
  const isKnown = earlier !== undefined && isSameContent(earlier.identity, file.identity)
  if (isKnown && earlier.outcome !== null) return true
  const record: Record = {
    path: file.path,
    identity: file.identity,
    uploadId: isKnown ? earlier.uploadId : newId('upl', clock.nowMs(), random(16)),
    imageId: isKnown ? earlier.imageId : newId('img', clock.nowMs(), random(16)),
    outcome: null,
  }
  await writeRecord(deps, record)
  crashPoint('existing:recorded')
  const found: FoundFile = { path: file.path, identity: file.identity, uploadId: record.uploadId, imageId: record.imageId }
  const outcome = await importFile(found, { name: nameOf(file.path), description: '' }, signal)
  switch (outcome.kind) {
    case 'available':
      await writeRecord(deps, { ...record, outcome: 'imported' })
      return true
    case 'refused':
      await removeImage(record.imageId)
      await writeRecord(deps, { ...record, outcome: 'refused' })
      emit({ type: 'existing.refused', severity: 'warning', subject: file.path, message: `The file ${file.path} was not imported: ${outcome.reason}` })
      return true
    case 'changed':
      return true
    case 'later':
      deps.log.info('existing images are imported later', { file: file.path, reason: outcome.reason })
      return false
    default:
      return outcome satisfies never
  }
}

/** The inode does not count: it changes when the mount path is restored from a backup. */
function isSameContent(a: ExistingFile['identity'], b: ExistingFile['identity']): boolean {
  return a.length === b.length && a.modifiedNs === b.modifiedNs
}

/** Returns the name of the image: that of the file, without control characters. */
function nameOf(path: string): string {
  const name = (path.split('/').at(-1) ?? '').replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\ufeff]/g, '_').slice(0, 255)
  return nameSchema.safeParse(name).data ?? 'image'
}

function recordPath({ mount }: RetrieveDeps, path: string): string {
  return join(mount, RECORD_FOLDER, `${createHash('sha256').update(path).digest('hex')}.json`)
}

async function readRecord(deps: RetrieveDeps, path: string): Promise<Record | undefined> {
  try {
    const text = new TextDecoder().decode(await deps.disk.readFile(recordPath(deps, path), RECORD_BYTES_MAX))
    const record = recordSchema.safeParse(JSON.parse(text)).data
    return record?.path === path ? record : undefined
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error
    deps.log.warn('the record of an existing image is damaged and written again', { file: path, reason: errorText(error) })
    return undefined
  }
}

function writeRecord(deps: RetrieveDeps, record: Record): Promise<void> {
  return deps.disk.writeFileAtomic(recordPath(deps, record.path), `${JSON.stringify(record)}\n`)
}
