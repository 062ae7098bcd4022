// The contestants: our store as a process of its own, and casync, borg and restic from Debian. Each has its whole state in one folder, so
// that a run starts with an empty folder and a copy of the folder is a copy of the state.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from './measure.ts'
import { run } from './measure.ts'

export interface Contestant {
  readonly name: string
  /** Debian package of the program; null for ours. */
  readonly debianPackage: string | null
  /** Whether it is so slow that one run is enough. */
  readonly isSlow: boolean
  /** Creates an empty store in the folder; not timed. */
  prepare(folder: string): Promise<void>
  /** Stores a file as the named image. */
  ingest(folder: string, image: string, file: string): Command
  /** Reads every byte of an image in order, verified; to standard output if the program requires it. Absent if the program can only write files. */
  read?(folder: string, image: string, file: string): Command
  /** Reads and verifies all stored bytes, if the program can. */
  verify?(folder: string): Command
  /** Returns the folder of the stored bytes, without caches of the program. */
  stored(folder: string): string
}

/** A contestant that can read an image in order. */
export type Reading = Contestant & Required<Pick<Contestant, 'read'>>

export function canRead(contestant: Contestant): contestant is Reading {
  return contestant.read !== undefined
}

const PROGRAM = join(import.meta.dir, 'store-program.ts')

/** Returns a command of our store program; store-program.ts documents its output. */
export function storeProgram(...words: string[]): Command {
  return { line: [process.execPath, PROGRAM, ...words] }
}

export function createSlipway(): Reading {
  return {
    name: 'slipway',
    debianPackage: null,
    isSlow: false,
    async prepare(folder) {
      mkdirSync(join(folder, 'store'), { recursive: true })
    },
    ingest: (folder, image, file) => storeProgram('ingest', join(folder, 'store'), image, file),
    read: (folder, image) => storeProgram('read', join(folder, 'store'), image),
    verify: (folder) => storeProgram('scrub', join(folder, 'store')),
    stored: (folder) => join(folder, 'store'),
  }
}

function createCasync(): Contestant {
  return {
    name: 'casync',
    debianPackage: 'casync',
    isSlow: true,
    async prepare(folder) {
      mkdirSync(join(folder, 'repository', 'default.castr'), { recursive: true })
    },
    ingest: (folder, image, file) => ({
      line: ['casync', 'make', `--store=${folder}/repository/default.castr`, `${folder}/repository/${image}.caibx`, file],
    }),
    stored: (folder) => join(folder, 'repository'),
  }
}

function createBorg(): Contestant {
  const env = (folder: string): Record<string, string> => ({
    BORG_BASE_DIR: join(folder, 'base'),
    BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
    BORG_RELOCATED_REPO_ACCESS_IS_OK: 'yes',
  })
  return {
    name: 'borg',
    debianPackage: 'borgbackup',
    isSlow: false,
    async prepare(folder) {
      mkdirSync(join(folder, 'base'), { recursive: true })
      await run({ line: ['borg', 'init', '-e', 'none', join(folder, 'repository')], env: env(folder) })
    },
    ingest: (folder, image, file) => ({ line: ['borg', 'create', '-C', 'zstd,1', `${folder}/repository::${image}`, file], env: env(folder) }),
    read: (folder, image) => ({ line: ['borg', 'extract', '--stdout', `${folder}/repository::${image}`], env: env(folder) }),
    verify: (folder) => ({ line: ['borg', 'check', '--verify-data', `${folder}/repository`], env: env(folder) }),
    stored: (folder) => join(folder, 'repository'),
  }
}

function createRestic(): Contestant {
  const env = (folder: string): Record<string, string> => ({ RESTIC_PASSWORD: 'bench', RESTIC_CACHE_DIR: join(folder, 'cache') })
  return {
    name: 'restic',
    debianPackage: 'restic',
    isSlow: false,
    async prepare(folder) {
      mkdirSync(join(folder, 'cache'), { recursive: true })
      await run({ line: ['restic', '-q', '-r', join(folder, 'repository'), 'init'], env: env(folder) })
    },
    ingest: (folder, image, file) => ({ line: ['restic', '-q', '-r', join(folder, 'repository'), 'backup', '--tag', image, file], env: env(folder) }),
    read: (folder, image, file) => ({ line: ['restic', '-q', '-r', join(folder, 'repository'), 'dump', '--tag', image, 'latest', file], env: env(folder) }),
    verify: (folder) => ({ line: ['restic', '-q', '-r', join(folder, 'repository'), 'check', '--read-data'], env: env(folder) }),
    stored: (folder) => join(folder, 'repository'),
  }
}

/** Returns the peers that can run. Installs missing ones with apt if permitted; otherwise reports their package. */
export async function availablePeers(wanted: readonly string[], say: (line: string) => void): Promise<Contestant[]> {
  const peers: Contestant[] = []
  for (const peer of [createCasync(), createBorg(), createRestic()]) {
    if (wanted.length > 0 && !wanted.includes(peer.name)) continue
    if (Bun.which(peer.name) === null && peer.debianPackage !== null) await install(peer.debianPackage)
    if (Bun.which(peer.name) === null) say(`${peer.name} is not installed and is skipped: apt-get install ${peer.debianPackage}`)
    else peers.push(peer)
  }
  return peers
}

async function install(debianPackage: string): Promise<void> {
  if (process.getuid?.() !== 0 || Bun.which('apt-get') === null) return
  await Bun.spawn(['apt-get', 'install', '-y', '-q', debianPackage], { stdout: 'ignore', stderr: 'ignore' }).exited
}
