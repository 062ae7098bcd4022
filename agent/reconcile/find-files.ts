// Looks for files on the mount path that the store does not know, and for temporary files that no operation needs any more.

import { join } from 'node:path'
import { isId } from '../../protocol/ids.ts'
import type { Disk, FileStat } from '../contract/disk.ts'
import { createLoopBudget } from '../contract/loop-budget.ts'
import type { Clock } from '../contract/runtime.ts'
import { findingOf, moveToQuarantine, RECONCILE_AGE_MS } from './finding.ts'
import type { FoundFinding } from './finding.ts'

/** Most files of one unknown folder whose bytes are counted. */
const COUNTED_FILES_MAX = 10_000
const TEMPORARY_SUFFIX = '.tmp'
/** Files and folders that file systems and network servers keep in the root of a mount. */
const SYSTEM_NAMES = new Set(['lost+found', '.snapshot', '.snapshots', '.zfs'])

/** Files in the folder of an image. */
const IMAGE_FILES = new Set(['manifest', 'image.json', 'compressed'])

export interface FileSearchDeps {
  readonly disk: Disk
  readonly clock: Pick<Clock, 'nowMs' | 'monotonicMs' | 'sleep'>
  readonly mount: string
  /** Names at the top of the mount path that the store knows: exact names, and a test for those with a number. */
  readonly isKnownTop: (name: string) => boolean
  readonly hasImage: (id: string) => boolean
  readonly hasUpload: (id: string) => boolean
}

/** What may be in a folder of the store. `inside` is searched too. Names that are not known are findings. */
interface Folder {
  readonly path: string
  readonly isKnown: (name: string) => boolean
  /** Returns what may be in a known entry; undefined for a file, and for a folder that is not searched. */
  readonly inside?: (name: string) => Folder | undefined
}

/** Yields unknown and temporary files older than RECONCILE_AGE_MS. inbox/, exports/ and quarantine/ belong to operators and are not searched. */
export async function* findFiles(deps: FileSearchDeps): AsyncGenerator<FoundFinding> {
  yield* search(deps, layoutOf(deps))
}

/** Returns the layout of a mount path (docs/format.md). */
function layoutOf({ isKnownTop, hasImage, hasUpload }: FileSearchDeps): Folder {
  const parts: Readonly<Record<string, Omit<Folder, 'path'>>> = {
    packs: {
      isKnown: (name) => /^[0-9a-f]{2}$/.test(name),
      inside: (name) => ({ path: join('packs', name), isKnown: (pack) => /^[0-9a-f]{32}\.pack$/.test(pack) }),
    },
    images: { isKnown: hasImage, inside: (name) => ({ path: join('images', name), isKnown: (file) => IMAGE_FILES.has(file) }) },
    uploads: { isKnown: hasUpload, inside: (name) => ({ path: join('uploads', name), isKnown: (file) => file === 'upload.json' || file === 'journal' }) },
    sync: { isKnown: (name) => isId('img', name) },
    usage: { isKnown: (name) => /^\d{4}-\d{2}\.log$/.test(name) },
  }
  return {
    path: '',
    isKnown: (name) => isKnownTop(name) || SYSTEM_NAMES.has(name) || name.startsWith('.nfs'),
    inside(name) {
      const part = Object.hasOwn(parts, name) ? parts[name] : undefined
      return part && { path: name, ...part }
    },
  }
}

async function* search(deps: FileSearchDeps, folder: Folder): AsyncGenerator<FoundFinding> {
  const { disk, clock, mount } = deps
  const budget = createLoopBudget(clock)
  for (const name of (await disk.list(join(mount, folder.path))).toSorted()) {
    await budget.spend()
    const path = join(folder.path, name)
    const isTemporary = name.endsWith(TEMPORARY_SUFFIX)
    if (!isTemporary && folder.isKnown(name)) {
      const inside = folder.inside?.(name)
      if (inside && (await disk.stat(join(mount, path)))?.kind === 'folder') yield* search(deps, inside)
      continue
    }
    const found = await disk.stat(join(mount, path))
    if (!found || clock.nowMs() - found.modifiedMs < RECONCILE_AGE_MS) continue
    yield isTemporary && found.kind === 'file' ? temporaryFile(deps, path, found) : await unknownFile(deps, path, found)
  }
}

function temporaryFile({ disk, mount }: FileSearchDeps, path: string, found: FileStat): FoundFinding {
  const finding = findingOf({
    kind: 'temporaryFile',
    target: path,
    what: `The file ${path} was left by a write that did not end.`,
    bytes: found.length,
    sinceMs: found.modifiedMs,
    action: 'remove',
    effect: `Deletes the file and frees ${found.length} bytes.`,
    essence: essenceOf(found),
  })
  return {
    finding,
    async run() {
      await disk.remove(join(mount, path))
      return 'The file was deleted.'
    },
  }
}

async function unknownFile({ disk, mount, clock }: FileSearchDeps, path: string, found: FileStat): Promise<FoundFinding> {
  const bytes = found.kind === 'folder' ? await bytesBelow({ disk, clock }, join(mount, path)) : found.length
  const finding = findingOf({
    kind: 'unknownFile',
    target: path,
    what: `The ${found.kind === 'folder' ? 'folder' : 'file'} ${path} does not belong to the store.`,
    bytes,
    sinceMs: found.modifiedMs,
    action: 'quarantine',
    effect: 'Moves it into quarantine/, from where it can be moved back. Frees nothing.',
    essence: essenceOf(found),
  })
  return { finding, run: () => moveToQuarantine(disk, mount, finding) }
}

function essenceOf({ kind, length, modifiedMs }: FileStat): string {
  return `${kind} ${length} ${modifiedMs}`
}

/** Returns the bytes of all files below a folder; null when there are too many to count. Links are not followed. */
async function bytesBelow({ disk, clock }: Pick<FileSearchDeps, 'disk' | 'clock'>, folder: string): Promise<number | null> {
  const budget = createLoopBudget(clock)
  const waiting = [folder]
  let [bytes, files] = [0, 0]
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    for (const name of await disk.list(path)) {
      if (++files > COUNTED_FILES_MAX) return null
      const found = await disk.stat(join(path, name))
      if (found?.kind === 'folder') waiting.push(join(path, name))
      else bytes += found?.length ?? 0
      await budget.spend()
    }
  }
  return bytes
}
