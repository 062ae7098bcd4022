// The folder `inbox` of a store on disk: what it contains, and the durable steps by which a file leaves it. Names are bytes here, because a file
// can have a name that is no text.

import { constants } from 'node:fs'
import { link, lstat, open, readdir, realpath, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errorCode, hasCode } from '../../../protocol/errors.ts'
import type { Disk } from '../../contract/disk.ts'
import { identityOf, isSameFile } from './local-file.ts'
import type { FileIdentity } from '../source.ts'

/** Most entries that one look considers. */
export const INBOX_ENTRIES_MAX = 10_000
/** Folder for the agent's own files, and folder of refused files. */
const OWN_FOLDER = '.slipway'
export const REFUSED_FOLDER = 'refused'
/** Longest part of a refused file's name that is kept, in bytes: the ends that are added must fit into 255. */
const REFUSED_NAME_BYTES_MAX = 200
/** Most files with the same name that get a number. */
const REFUSED_SAME_MAX = 1000

export interface InboxEntry {
  readonly nameBytes: Uint8Array
  /** The name as one text without loss: each byte is one character. */
  readonly key: string
  readonly kind: 'file' | 'other'
  readonly identity: FileIdentity
  /** Time of the last change of any kind in nanoseconds since 1970. */
  readonly changedNs: bigint
  /** Device and inode, for the search for writers. */
  readonly fileKey: `${bigint}:${bigint}`
  /** Inode with its time of creation, which tells a renamed file from a new one that got the inode of a removed one. */
  readonly fileId: string
}

export interface InboxFolder {
  /** Absolute path without links. */
  readonly path: string
  /** Returns the entries, at most INBOX_ENTRIES_MAX of them. */
  list(): Promise<{ readonly entries: readonly InboxEntry[]; readonly isCut: boolean }>
  /** Returns the identity of a regular file; undefined when there is none with this name. */
  identify(key: string): Promise<FileIdentity | undefined>
  /**
   * Takes a file out of the inbox under the name of a ticket, durable when it resolves. Returns false, and leaves everything in place, when the
   * name is not that file any more.
   */
  setAside(key: string, identity: FileIdentity, ticket: string): Promise<boolean>
  /** Whether a file was set aside for a ticket. */
  isAside(ticket: string): Promise<boolean>
  /** Removes the file that was set aside. */
  removeAside(ticket: string): Promise<void>
  /** Puts the file that was set aside back, under its name or, when that is taken, under a similar one. */
  putBack(ticket: string, key: string): Promise<void>
  /** Moves the file that was set aside to the folder of refused files, beside a file with the reason. Returns its name there. */
  moveToRefused(ticket: string, name: string, reason: string): Promise<string>
  readTickets(): Promise<ReadonlyMap<string, string>>
  /** Writes the record of a ticket, durable when it resolves. */
  writeTicket(ticket: string, text: string): Promise<void>
  removeTicket(ticket: string): Promise<void>
}

export interface InboxFolderDeps {
  /** What makes names and records durable. Files are moved here, because their names may be no text. */
  readonly disk: Pick<Disk, 'makeFolder' | 'writeFileAtomic' | 'syncFolder'>
  /** Called between the durable steps of a refusal. */
  readonly crashPoint: (name: string) => void
}

/** Opens the inbox of a mount path, and creates what is missing of it. */
export async function openInboxFolder(folder: string, { disk, crashPoint }: InboxFolderDeps): Promise<InboxFolder> {
  // The disk of the store refuses while the mount path is not mounted, so that nothing appears on the disk below it.
  await disk.makeFolder(folder)
  // A folder that exists may not be durable: an earlier process may have died between making and syncing it.
  await disk.syncFolder(dirname(folder))
  const path = await realpath(folder)
  for (const name of [OWN_FOLDER, REFUSED_FOLDER]) await disk.makeFolder(`${path}/${name}`)
  await disk.syncFolder(path)
  const own = `${path}/${OWN_FOLDER}`
  const at = (key: string): Buffer => Buffer.concat([Buffer.from(`${path}/`), Buffer.from(key, 'latin1')])
  const aside = (ticket: string): string => `${own}/${ticket}.file`
  const record = (ticket: string): string => `${own}/${ticket}.json`

  return {
    path,
    list: () => list(path, at),
    identify: async (key) => (await entryAt(at(key), key))?.identity,

    async setAside(key, identity, ticket) {
      const found = await entryAt(at(key), key)
      if (!found || found.kind !== 'file' || !isSameFile(found.identity, identity)) return false
      try {
        await rename(at(key), aside(ticket))
      } catch (error) {
        if (hasCode(error, 'ENOENT')) return false
        throw error
      }
      await syncAll(disk, [own, path])
      // The name may have got another file between the look and the rename.
      const moved = await entryAt(Buffer.from(aside(ticket)), key)
      if (moved && isSameFile(moved.identity, identity)) return true
      await putBack(aside(ticket), at(key))
      await syncAll(disk, [own, path])
      return false
    },

    isAside: async (ticket) => (await entryAt(Buffer.from(aside(ticket)), ticket)) !== undefined,

    async removeAside(ticket) {
      await removeFile(aside(ticket))
      await disk.syncFolder(own)
    },

    async putBack(ticket, key) {
      await putBack(aside(ticket), at(key))
      await syncAll(disk, [own, path])
    },

    async moveToRefused(ticket, name, reason) {
      const refused = `${path}/${REFUSED_FOLDER}`
      const target = await freeName(refused, name)
      await disk.writeFileAtomic(`${refused}/${target}.reason.txt`, `${reason}\n`)
      crashPoint('inbox:reason-written')
      await rename(aside(ticket), `${refused}/${target}`)
      await syncAll(disk, [refused, own])
      return target
    },

    readTickets: () => readTickets(own),
    writeTicket: (ticket, text) => disk.writeFileAtomic(record(ticket), text),
    async removeTicket(ticket) {
      await removeFile(record(ticket))
      await disk.syncFolder(own)
    },
  }
}

async function list(path: string, at: (key: string) => Buffer): Promise<{ entries: InboxEntry[]; isCut: boolean }> {
  const names = await readdir(path, { encoding: 'buffer' })
  const entries: InboxEntry[] = []
  for (const name of names.slice(0, INBOX_ENTRIES_MAX)) {
    const key = name.toString('latin1')
    const entry = await entryAt(at(key), key)
    if (entry) entries.push(entry)
  }
  return { entries, isCut: names.length > INBOX_ENTRIES_MAX }
}

/** Returns what a path is, without following a link; undefined when it does not exist. */
async function entryAt(path: Buffer, key: string): Promise<InboxEntry | undefined> {
  try {
    const found = await lstat(path, { bigint: true })
    return {
      nameBytes: Buffer.from(key, 'latin1'),
      key,
      kind: found.isFile() ? 'file' : 'other',
      identity: identityOf(found),
      changedNs: found.ctimeNs,
      fileKey: `${found.dev}:${found.ino}`,
      fileId: `${found.ino}:${found.birthtimeNs}`,
    }
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
}

/** Gives a file a name that is free, its own if possible, without ever replacing another file. */
async function putBack(from: string, to: Buffer): Promise<void> {
  const start = to.subarray(0, to.byteLength - Math.max(0, baseLength(to) - REFUSED_NAME_BYTES_MAX))
  for (let count = 1; ; count++) {
    // The name after the last number is taken by nobody, so that the loop ends only once the file has a name.
    const end = count <= REFUSED_SAME_MAX ? String(count) : crypto.randomUUID()
    const name = count === 1 ? to : Buffer.concat([start, Buffer.from(`.${end}`)])
    try {
      await link(from, name)
      break
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return
      if (errorCode(error) === 'EEXIST') {
        // A crash after the link of an earlier attempt.
        if (await isSameInode(from, name)) break
        continue
      }
      // A file system without hard links.
      if (await exists(name)) continue
      await rename(from, name)
      break
    }
  }
  await removeFile(from)
}

async function syncAll(disk: Pick<Disk, 'syncFolder'>, folders: readonly string[]): Promise<void> {
  for (const folder of folders) await disk.syncFolder(folder)
}

async function isSameInode(a: string, b: Buffer): Promise<boolean> {
  const [one, two] = [await entryAt(Buffer.from(a), a), await entryAt(b, a)]
  return one !== undefined && one.fileKey === two?.fileKey
}

function baseLength(path: Buffer): number {
  return path.byteLength - path.lastIndexOf(0x2f) - 1
}

/** Returns a name that no file of a folder has. */
async function freeName(folder: string, wanted: string): Promise<string> {
  const name = new TextDecoder().decode(new TextEncoder().encode(wanted).subarray(0, REFUSED_NAME_BYTES_MAX)).replace(/\ufffd+$/, '')
  for (let count = 1; count <= REFUSED_SAME_MAX; count++) {
    const candidate = count === 1 ? name : `${name}.${count}`
    if (!(await exists(`${folder}/${candidate}`))) return candidate
  }
  return `${name}.${crypto.randomUUID()}`
}

async function exists(path: string | Buffer): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false
    throw error
  }
}

async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
  }
}

/** Longest record of a ticket in bytes. */
const TICKET_BYTES_MAX = 64 * 1024

async function readTickets(own: string): Promise<Map<string, string>> {
  const tickets = new Map<string, string>()
  for (const name of await readdir(own)) {
    const ticket = /^([0-9a-z_]{1,64})\.json$/.exec(name)?.[1]
    if (ticket === undefined) continue
    await using file = await open(`${own}/${name}`, constants.O_RDONLY | constants.O_NOFOLLOW)
    const bytes = Buffer.alloc(TICKET_BYTES_MAX)
    const { bytesRead } = await file.read(bytes, 0, TICKET_BYTES_MAX, 0)
    tickets.set(ticket, bytes.toString('utf8', 0, bytesRead))
  }
  return tickets
}
