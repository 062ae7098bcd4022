// The lease on a mount path: one agent writes to it at a time, on local disks and on NFS alike, so without flock.
//
// Each holder has a generation: the file `lease.<generation>.json`, made by exclusive creation, so that of many who
// want the next generation exactly one gets it. The highest generation is the lease. Its holder writes a new beat every
// five seconds, in place and of fixed length, which works on a full disk. Generations never go down: a clean stop
// marks the file as released and leaves it.

import { basename } from 'node:path'
import { z } from 'zod'
import { hasCode } from '../../protocol/errors.ts'
import type { Disk } from '../contract/disk.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import { isProcessGone, isProcessRunning } from './process-identity.ts'
import type { ProcessIdentity } from './process-identity.ts'

/** Time between two beats in milliseconds. */
export const LEASE_BEAT_MS = 5000
/** A beat that does not change for so many intervals, seen by the clock of the one who waits, is that of a dead holder. */
const LEASE_BEATS_MISSED_MAX = 3
/** Length of a lease file in bytes; JSON padded with spaces. */
const LEASE_FILE_BYTES = 1024
/** Old generations that stay on disk, so that a claimant that was stopped in between meets them and not a free name. */
const GENERATIONS_KEPT = 8
/** Rounds of losing the race for a generation before giving up. */
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

/** What a lease file says. */
export type LeaseRecord = z.infer<typeof leaseRecordSchema>

export interface LeaseDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  readonly identity: ProcessIdentity
  /** Called once when another agent took the lease over: nothing may be written from then on. */
  readonly onLost: (by: LeaseRecord | undefined) => void
}

/** A lease that is held; disposing it is the clean stop that lets the next agent in at once. */
export interface Lease extends AsyncDisposable {
  readonly generation: number
  /** False from the moment on when a higher generation was seen. */
  isHeld(): boolean
}

export type LeaseOutcome = { readonly kind: 'held'; readonly lease: Lease } | { readonly kind: 'taken'; readonly by: LeaseRecord | undefined }

/**
 * Takes the lease of a folder, or tells who has it. Immediate when there is no holder, when it released the lease, or
 * when it was a process of this boot that is gone or still runs; otherwise watches its beat for up to three intervals.
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
  log.info('the store has a holder on another machine; watching whether it lives', { generation, holder: record?.hostname, pid: record?.pid })
  for (let interval = 0; interval < LEASE_BEATS_MISSED_MAX; interval++) {
    await clock.sleep(LEASE_BEAT_MS, signal)
    if ((await highestGeneration(disk, folder)) !== generation) return { kind: 'changed' }
    const now = await readBytes(disk, folder, generation)
    if (now === first) continue
    const next = parseRecord(now)
    // A file that was empty or torn a moment ago is a claim just being written: judge it by what it says now.
    if (!record || !next || next.released) return { kind: 'changed' }
    return { kind: 'alive', record: next }
  }
  log.warn('the holder of the store has not written its beat for too long; taking over', { generation, holder: record?.hostname, pid: record?.pid })
  return { kind: 'free' }
}

/** Makes the file of a generation; undefined when another one was faster. */
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
      // An empty claim would keep the next start waiting for its beat. The failure of the write is the one to tell.
      await disk.remove(path).catch(() => {})
      throw error
    }
  }
  try {
    await make()
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return undefined
    if (!hasCode(error, 'ENOSPC')) throw error
    // A full disk must not keep out the agent that could clean it: the old generations take as much as the new one needs.
    for (const old of await generations(disk, folder)) if (old < generation - 1) await disk.remove(leasePath(folder, old))
    await make()
  }
  await disk.syncFolder(folder)
  // The name may have been free because it is of long ago: then a higher generation is there and this claim is void.
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
      log.error('another agent took the store over; this one stops writing', { generation, highest })
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
      if (isFailing) log.info('the beat of the lease is written again', { generation })
      isFailing = false
    } catch (error) {
      if (!isFailing) log.warn('the beat of the lease could not be written; trying again', { generation, error })
      isFailing = true
    }
  }

  const timer = clock.every(LEASE_BEAT_MS, () => {
    // A hung mount path holds one beat back, not a growing number of them.
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
    // Gone between list and read: an empty text differs from what comes next.
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
    // Empty or torn: its maker is at work, or died there.
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
