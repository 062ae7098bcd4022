// What every command of an agent needs first: log and clock, the lease on the mount path, store.json, and the check
// that state folder and mount path belong together.

import { join } from 'node:path'
import { errorCode, errorText, hasCode } from '../../../protocol/errors.ts'
import type { Config } from '../../config.ts'
import type { Disk } from '../../contract/disk.ts'
import type { Clock, CrashPoint, Log } from '../../contract/runtime.ts'
import { isDiskFull } from '../../contract/failures.ts'
import { dropBallast } from '../../system/ballast.ts'
import { systemClock } from '../../system/clock.ts'
import { createCrashPoint } from '../../system/crash-point.ts'
import { createDisk } from '../../system/disk.ts'
import { acquireLease, leaseFile } from '../../system/lease.ts'
import type { Lease, LeaseDeps, LeaseOutcome, LeaseRecord } from '../../system/lease.ts'
import { createLog } from '../../system/log.ts'
import { guardMount } from '../../system/mounted-disk.ts'
import { namesBelow } from '../../system/path-access.ts'
import { closeToOthers } from '../../system/private-files.ts'
import { createRecentLines } from '../../system/recent-lines.ts'
import type { RecentLines } from '../../system/recent-lines.ts'
import { readProcessIdentity } from '../../system/process-identity.ts'
import { requireAccess } from '../access-refused.ts'
import { StartRefused } from '../start-refused.ts'
import { findStore, prepareStore, refuseLost, STATE_COPY, STORE_COPY, STORE_FILE, STORE_FOLDERS } from './store-file.ts'
import type { FoundStore, StoreFile } from './store-file.ts'

/** Names the store that a state folder belongs to. */
const STATE_OWNER_FILE = 'store-id'
const STATE_OWNER_BYTES_MAX = 256
/** Prefixes of the names of an agent's own files in the state folder. */
export const STATE_FILES = ['agent.db', 'index.db', 'visibility', 'catalogue-snapshot', 'admin-token', 'sealing-key', 'store-key', STATE_COPY, STATE_OWNER_FILE]

/** Folders below the state folder that are looked into. */
const STATE_DEPTH_MAX = 3

export interface Runtime {
  readonly config: Config
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  /** The newest lines of the log. */
  readonly recentLog: RecentLines
  readonly crashPoint: CrashPoint
}

/** A store whose lease this process holds; disposing releases it. */
export interface Foundation extends Runtime, AsyncDisposable {
  readonly store: StoreFile
  readonly lease: Lease
  /** The copy from which store.json was restored at this start. */
  readonly restoredFrom: string | undefined
}

export interface FoundationOptions {
  /** Called once when another agent takes the store over: nothing may be written from then on. */
  readonly onLost: (by: LeaseRecord | undefined) => void
  /** Ends the wait for the lease. */
  readonly signal?: AbortSignal
  /** Restores a damaged or missing store.json from its copy instead of refusing to start. */
  readonly restore?: boolean
}

export function createRuntime(config: Config): Runtime {
  const recentLog = createRecentLines()
  const write = (line: string): void => {
    recentLog.add(line)
    process.stderr.write(`${line}\n`)
  }
  const log = createLog({ clock: systemClock, level: config.process.logLevel, write }, { store: config.store.name, pid: process.pid })
  return { config, log, recentLog, disk: createDisk(), clock: systemClock, crashPoint: createCrashPoint(config.process.crashPoint) }
}

/**
 * Acquires the lease and prepares mount path and state folder. Throws StartRefused, with nothing changed, when the store is
 * held by another agent, cannot be reached, or is not the one the state folder belongs to.
 */
export async function openFoundation(runtime: Runtime, options: FoundationOptions): Promise<Foundation> {
  const { config, disk, log } = runtime
  const { mount, state } = config.store
  await reach(disk, mount, 'store.mount')
  await requireStoreAccess(runtime)
  const owner = await readStateOwner(disk, state)
  const found = await findOwnStore(runtime, owner, options.restore ?? false)
  const identity = readProcessIdentity(state)
  const outcome = await takeLease({ ...runtime, identity, onLost: options.onLost }, mount, options.signal)
  if (outcome.kind === 'taken') {
    const by = outcome.by ? ` on ${outcome.by.hostname}, process ${outcome.by.pid}` : ''
    throw new StartRefused(`The store on ${mount} is held by another agent${by}. Stop that agent first, or use another mount path.`)
  }
  const { lease } = outcome
  try {
    await reach(disk, state, 'store.state')
    await closeToOthers(state, STATE_FILES)
    const store = await prepareStore(disk, config.store, log)
    if (owner === undefined) await disk.writeFileAtomic(join(state, STATE_OWNER_FILE), `${store.uuid}\n`)
    return {
      ...runtime,
      disk: await guardMount(disk, mount, STORE_FILE),
      store,
      lease,
      restoredFrom: found.kind === 'lost' ? found.copy?.path : undefined,
      [Symbol.asyncDispose]: () => lease[Symbol.asyncDispose](),
    }
  } catch (error) {
    await lease[Symbol.asyncDispose]()
    throw error
  }
}

/** Finds the store, and throws StartRefused when its file is lost and may not be restored, or when the state folder belongs to another store. */
async function findOwnStore({ disk, config }: Runtime, owner: string | undefined, restore: boolean): Promise<FoundStore> {
  const { mount, state } = config.store
  const found = await findStore(disk, config.store)
  if (found.kind === 'lost' && !(restore && found.copy)) throw refuseLost(config.store, found, owner)
  const store = found.kind === 'present' ? found.store : found.kind === 'lost' ? found.copy?.store : undefined
  if (owner === undefined || owner === store?.uuid) return found
  throw new StartRefused(
    `The state folder ${state} belongs to the store ${owner}, but the mount path ${mount} holds ${store ? `the store ${store.uuid}` : 'no store'}. Attach the right file system, or set store.state to a new folder; its contents are rebuilt from the store.`,
  )
}

/** Acquires the lease, on a full disk too: otherwise no agent could clean it. */
async function takeLease(deps: LeaseDeps, mount: string, signal: AbortSignal | undefined): Promise<LeaseOutcome> {
  const take = (): Promise<LeaseOutcome> => acquireLease(deps, mount, signal)
  try {
    return await take().catch(async (error: unknown) => {
      if (!isDiskFull(error)) throw error
      deps.log.warn('the disk of the store is full: its ballast is deleted so that the agent can start')
      await dropBallast(deps.disk, mount)
      return take()
    })
  } catch (error) {
    if (isDiskFull(error))
      throw new StartRefused(
        `The disk of store.mount "${mount}" is full to the last block. Free a megabyte there and start again. Then delete images for good (image purge) and run store cleanup.`,
        {
          cause: error,
        },
      )
    throw error
  }
}

/** Creates a folder where there is none, and checks that it answers. */
async function reach(disk: Disk, folder: string, key: string): Promise<void> {
  try {
    await disk.makeFolder(folder)
    await disk.list(folder)
  } catch (error) {
    if (hasCode(error, 'EACCES', 'EPERM', 'EROFS')) throw error
    throw new StartRefused(
      `${key} "${folder}" cannot be used (${errorCode(error) ?? errorText(error)}). Create it, give it to the user the agent runs as, or correct the configuration.`,
      { cause: error },
    )
  }
}

/** Throws StartRefused when this process may not use the store or the state folder. Looks at every file that a start writes or replaces. */
async function requireStoreAccess({ config, disk }: Runtime): Promise<void> {
  const { mount, state } = config.store
  requireAccess(mount, ['', ...STORE_FOLDERS, ...namesBelow(mount, 'packs', 1)])
  requireAccess(mount, [STORE_FILE, STORE_COPY], 'read')
  const lease = await leaseFile(disk, mount)
  if (lease !== undefined) requireAccess(mount, [lease])
  requireAccess(state, [''])
  const own = namesBelow(state, '', 1).filter((name) => STATE_FILES.some((prefix) => name.startsWith(prefix)))
  requireAccess(state, [...own, ...own.flatMap((name) => namesBelow(state, name, STATE_DEPTH_MAX))])
}

async function readStateOwner(disk: Disk, state: string): Promise<string | undefined> {
  const path = join(state, STATE_OWNER_FILE)
  if ((await disk.stat(path)) === undefined) return undefined
  return new TextDecoder().decode(await disk.readFile(path, STATE_OWNER_BYTES_MAX)).trim()
}
