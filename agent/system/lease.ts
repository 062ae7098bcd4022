// The lease on a mount path: one agent writes to it at a time, on local disks and on NFS alike, so without flock.
//
// Each holder has a generation: the file `lease.<generation>.json`, created exclusively, so that exactly one of several
// claimants gets the next generation. The highest generation is the lease. Its holder writes a new beat every
// five seconds, in place and with a fixed length, which works on a full disk. Generations never go down: a clean stop
// marks the file as released and keeps it.

import { basename } from 'node:path'
import { z } from 'zod'
import { hasCode } from '../../protocol/errors.ts'
import type { Disk } from '../contract/disk.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import { isProcessGone, isProcessRunning } from './process-identity.ts'
import type { ProcessIdentity } from './process-identity.ts'

/** Time between two beats in milliseconds. */
export const LEASE_BEAT_MS = 5000
/** A holder whose beat does not change for this many intervals, by the clock of the claimant, is dead. */
const LEASE_BEATS_MISSED_MAX = 3
/** Length of a lease file in bytes; JSON padded with spaces. */
const LEASE_FILE_BYTES = 1024
/** Old generations that stay on disk, so that a claimant that was suspended finds them and not a free name. */
const GENERATIONS_KEPT = 8
/** Lost races for a generation before giving up. */
const CLAIM_ROUNDS_MAX = 100

const LEASE_NAME = /^lease\.(\d{1,15})\.json$/

const leaseRecordSchema = z.object({
  holder: z.string(),
  hostname: z.string(),
  bootId: z.string(),
  pidNamespace: z.string(),
  pid: z.int(),
  startTime: z.string(),
  generation: z.int().min(1),
  /** Counts up with every beat. */
  beat: z.int().min(0),
  heartbeatAt: z.string(),
  released: z.boolean(),
})

/** The contents of a lease file. */
export type LeaseRecord = z.infer<typeof leaseRecordSchema>

export interface LeaseDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  readonly identity: ProcessIdentity
  /** Called once when another agent has taken over the lease: nothing may be written from then on. */
  readonly onLost: (by: LeaseRecord | undefined) => void
}

/** A lease that is held. Disposing releases it, so that the next agent can acquire it at once. */
export interface Lease extends AsyncDisposable {
  readonly generation: number
  /** Returns false once a higher generation was seen. */
  isHeld(): boolean
}

export type LeaseOutcome = { readonly kind: 'held'; readonly lease: Lease } | { readonly kind: 'taken'; readonly by: LeaseRecord | undefined }

/**
 * Acquires the lease of a folder, or returns its holder. Immediate when there is no holder, when it released the lease, or
 * when it is a process of this boot, running or gone; otherwise watches its beat for up to three intervals.
 * Throws the disk's errors.
 */
export async function acquireLease(deps: LeaseDeps, folder: string, signal?: AbortSignal): Promise<LeaseOutcome> {
  for (let round = 0; round < CLAIM_ROUNDS_MAX; round++) {
    const highest = await highestGeneration(deps.disk, folder)
    if (highest > 0) {
      const state = await watchHolder(deps, folder, highest, signal)
      if (state.kind === 'changed') continue
      if (state.kind === 'alive') return { kind: 'taken', by: state.record }
    }
    const lease = await claim(deps, folder, highest + 1)
    if (lease) return { kind: 'held', lease }
  }
  return { kind: 'taken', by: await readRecord(deps.disk, folder, await highestGeneration(deps.disk, folder)) }
}

/** Returns the name of the lease file that counts in a folder; undefined when the store was never held. */
export async function leaseFile(disk: Disk, folder: string): Promise<string | undefined> {
  const generation = await highestGeneration(disk, folder)
  return generation === 0 ? undefined : basename(leasePath(folder, generation))
}

type HolderState = { readonly kind: 'free' } | { readonly kind: 'alive'; readonly record: LeaseRecord } | { readonly kind: 'changed' }

async function watchHolder(deps: LeaseDeps, folder: string, generation: number, signal?: AbortSignal): Promise<HolderState> {
  const { disk, clock, log, identity } = deps
  const first = await readBytes(disk, folder, generation)
  const record = parseRecord(first)
  if (record?.released) return { kind: 'free' }
  if (record && isProcessGone(record, identity)) return { kind: 'free' }
  if (record && isProcessRunning(record, identity)) return { kind: 'alive', record }
  log.info('the store is held from another machine; watching its beat', { generation, holder: record?.hostname, pid: record?.pid })
  for (let interval = 0; interval < LEASE_BEATS_MISSED_MAX; interval++) {
    await clock.sleep(LEASE_BEAT_MS, signal)
    if ((await highestGeneration(disk, folder)) !== generation) return { kind: 'changed' }
    const now = await readBytes(disk, folder, generation)
    if (now === first) continue
    const next = parseRecord(now)
    // A file that was empty or torn a moment ago is a claim that is being written: judge it by its new contents.
    if (!record || !next || next.released) return { kind: 'changed' }
    return { kind: 'alive', record: next }
  }
  log.warn('the holder of the store stopped writing its beat; taking over the lease', { generation, holder: record?.hostname, pid: record?.pid })
  return { kind: 'free' }
}

/** Creates the file of a generation; undefined when another claimant was faster. */
async function claim(deps: LeaseDeps, folder: string, generation: number): Promise<Lease | undefined> {
  const { disk, clock, identity } = deps
  const record = (beat: number, released: boolean): LeaseRecord => ({
    ...pickIdentity(identity),
    generation,
    beat,
    heartbeatAt: new Date(clock.nowMs()).toISOString(),
    released,
  })
  const path = leasePath(folder, generation)
  const make = async (): Promise<void> => {
    await using file = await disk.openWrite(path, 'create')
    try {
      await file.write([encode(record(0, false))], 0)
      await file.sync()
    } catch (error) {
      // An empty claim would make the next start wait for its beat. The error of the write is the one to report.
      await disk.remove(path).catch(() => {})
      throw error
    }
  }
  try {
    await make()
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return undefined
    if (!hasCode(error, 'ENOSPC')) throw error
    // A full disk must not keep out the agent that could clean it: removing an old generation frees what the new one needs.
    for (const old of await generations(disk, folder)) if (old < generation - 1) await disk.remove(leasePath(folder, old))
    await make()
  }
  await disk.syncFolder(folder)
  // The name may have been free because its file was removed long ago: then a higher generation exists and this claim is void.
  if ((await highestGeneration(disk, folder)) > generation) {
    await disk.remove(path)
    return undefined
  }
  for (const old of await generations(disk, folder)) if (old <= generation - GENERATIONS_KEPT) await disk.remove(leasePath(folder, old))
  return hold(deps, folder, generation, record)
}

function hold(deps: LeaseDeps, folder: string, generation: number, record: (beat: number, released: boolean) => LeaseRecord): Lease {
  const { disk, clock, log, onLost } = deps
  let isHeld = true
  let isFailing = false
  let beat = 0
  let running: Promise<void> | undefined

  const write = async (released: boolean): Promise<void> => {
    const highest = await highestGeneration(disk, folder)
    if (highest > generation) {
      if (!isHeld) return
      isHeld = false
      log.error('another agent took over the store; this one stops writing', { generation, highest })
      onLost(await readRecord(disk, folder, highest))
      return
    }
    await using file = await disk.openWrite(leasePath(folder, generation), 'existing')
    await file.write([encode(record(++beat, released))], 0)
    await file.sync()
  }

  const tick = async (): Promise<void> => {
    try {
      await write(false)
      if (isFailing) log.info('the beat of the lease can be written again', { generation })
      isFailing = false
    } catch (error) {
      if (!isFailing) log.warn('the beat of the lease could not be written; retrying', { generation, error })
      isFailing = true
    }
  }

  const timer = clock.every(LEASE_BEAT_MS, () => {
    // On a hung mount path one beat waits, not a growing number.
    running ??= tick().finally(() => (running = undefined))
  })

  return {
    generation,
    isHeld: () => isHeld,
    async [Symbol.asyncDispose]() {
      timer[Symbol.dispose]()
      await running
      if (isHeld) await write(true)
      isHeld = false
    },
  }
}

function leasePath(folder: string, generation: number): string {
  return `${folder}/lease.${generation}.json`
}

async function generations(disk: Disk, folder: string): Promise<number[]> {
  const names = await disk.list(folder)
  return names.map((name) => Number(LEASE_NAME.exec(name)?.[1] ?? 0)).filter((generation) => generation > 0)
}

async function highestGeneration(disk: Disk, folder: string): Promise<number> {
  return Math.max(0, ...(await generations(disk, folder)))
}

async function readBytes(disk: Disk, folder: string, generation: number): Promise<string> {
  try {
    return new TextDecoder().decode(await disk.readFile(leasePath(folder, generation), LEASE_FILE_BYTES))
  } catch (error) {
    // The file was removed between list and read. An empty text differs from any later contents.
    if (hasCode(error, 'ENOENT')) return ''
    throw error
  }
}

async function readRecord(disk: Disk, folder: string, generation: number): Promise<LeaseRecord | undefined> {
  return generation === 0 ? undefined : parseRecord(await readBytes(disk, folder, generation))
}

function parseRecord(text: string): LeaseRecord | undefined {
  try {
    return leaseRecordSchema.safeParse(JSON.parse(text)).data
  } catch {
    // Empty or torn: the writer is still writing, or died.
    return undefined
  }
}

function encode(record: LeaseRecord): Uint8Array {
  const bytes = new Uint8Array(LEASE_FILE_BYTES).fill(0x20)
  const { written, read } = new TextEncoder().encodeInto(JSON.stringify(record), bytes)
  if (written === LEASE_FILE_BYTES) throw new RangeError(`a lease of more than ${read} characters does not fit its file`)
  return bytes
}

function pickIdentity({ holder, hostname, bootId, pidNamespace, pid, startTime }: ProcessIdentity): ProcessIdentity {
  return { holder, hostname, bootId, pidNamespace, pid, startTime }
}
