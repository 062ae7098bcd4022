// The inbox of a store: files that appear in the folder `inbox` of the mount path become images, and are removed once their image is available.
//
// ticket → import → set the file aside → remove it → remove the ticket. A crash at any point leaves the ticket, which the next start follows.

import { newId } from '../../../protocol/ids.ts'
import type { Image, ImageStatus } from '../../../protocol/images/image.ts'
import type { Clock, CrashPoint, Log } from '../../contract/runtime.ts'
import type { EmitEvent } from '../../contract/work.ts'
import type { ImportFile } from '../file-import.ts'
import { findWriters } from '../local/file-writers.ts'
import { isSameFile } from '../local/local-file.ts'
import type { InboxEntry, InboxFolder } from '../local/inbox-folder.ts'
import { REFUSED_FOLDER } from '../local/inbox-folder.ts'
import { INBOX } from '../local/mount-scheme.ts'
import { watchFolder } from '../local/watch-folder.ts'
import { readTickets, writeTicket } from './tickets.ts'
import type { Ticket } from './tickets.ts'
import { judgeInboxName, safeName } from './inbox-names.ts'
import { judgeInbox, NOTHING_OBSERVED } from './settle.ts'

/** Files that are imported at the same time; the others stay where they are. */
export const INBOX_PARALLEL_MAX = 2
/** A look without an event: for a change that no event reported, and for files that wait for space. In milliseconds. */
const LOOK_MS_MAX = 30_000
/** Shortest time between two looks, so that a file in the middle of many writes costs little. */
const LOOK_MS_MIN = 200
/** Most files that wait for such a time. Then no other file is taken, because the reason is most likely the same for all. */
export const INBOX_WAITING_MAX = 16
/** How long a file waits after an import that could not be done now. */
const RETRY_MS = 60_000

/** Statuses of images that were available once. */
const STORED: ReadonlySet<ImageStatus> = new Set<ImageStatus>(['available', 'degraded', 'fileUnavailable', 'deleted', 'deleting'])

export interface InboxDeps {
  readonly folder: InboxFolder
  readonly clock: Clock
  readonly log: Log
  readonly emit: EmitEvent
  readonly crashPoint: CrashPoint
  readonly settleMs: number
  readonly random: (length: number) => Uint8Array
  readonly importFile: ImportFile
  readonly findImage: (id: string) => Pick<Image, 'status'> | undefined
  /** Removes what a refused import left. */
  readonly removeImage: (id: string) => Promise<void>
}

/** Watches until disposed. */
export async function openInbox(deps: InboxDeps): Promise<AsyncDisposable> {
  const inbox = new Inbox(deps)
  await inbox.start()
  return inbox
}

class Inbox implements AsyncDisposable {
  readonly #deps: InboxDeps
  readonly #stopping = new AbortController()
  /** Files that are being imported, by key. */
  readonly #running = new Map<string, Promise<void>>()
  /** Files that are left alone until a time, with the identity for which that holds. */
  readonly #waiting = new Map<string, { readonly ticket: Ticket; readonly untilMs: number; readonly reason: string }>()
  #observations = NOTHING_OBSERVED
  #wake = Promise.withResolvers<void>()
  #looking: Promise<void> = Promise.resolve()
  #watcher: AsyncDisposable | undefined
  #isCrowded = false

  constructor(deps: InboxDeps) {
    this.#deps = deps
  }

  async start(): Promise<void> {
    const { folder, log } = this.#deps
    for (const ticket of await readTickets(folder, (id) => log.warn('a ticket in the inbox cannot be read', { ticket: id }))) await this.#resume(ticket)
    this.#watcher = await watchFolder(
      folder.path,
      () => this.#wake.resolve(),
      (error) => log.warn('changes in the inbox may go unnoticed for half a minute', { error }),
    )
    this.#looking = this.#lookForever()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Error('the inbox is closed'))
    this.#wake.resolve()
    await this.#watcher?.[Symbol.asyncDispose]()
    await this.#looking
    await Promise.all(this.#running.values())
  }

  async #lookForever(): Promise<void> {
    const { clock, log } = this.#deps
    const { signal } = this.#stopping
    while (!signal.aborted) {
      let waitMs = LOOK_MS_MAX
      this.#wake = Promise.withResolvers()
      try {
        waitMs = await this.#look()
      } catch (error) {
        log.warn('the inbox could not be looked at', { error })
      }
      try {
        await clock.sleep(LOOK_MS_MIN, signal)
        await this.#awake(Math.max(0, waitMs - LOOK_MS_MIN), signal)
      } catch {
        // Stopped.
      }
    }
  }

  /** Resolves when something changed, or after a time. */
  async #awake(ms: number, signal: AbortSignal): Promise<void> {
    const done = new AbortController()
    const slept = this.#deps.clock.sleep(ms, AbortSignal.any([signal, done.signal])).catch(() => {})
    await Promise.race([this.#wake.promise, slept])
    done.abort()
  }

  /** Looks at the folder once, and starts what can be started. Returns the milliseconds until the next look. */
  async #look(): Promise<number> {
    const { folder, clock, settleMs } = this.#deps
    const { entries, isCut } = await folder.list()
    this.#reportCrowd(isCut)
    const nowMs = clock.monotonicMs()
    const verdict = judgeInbox(this.#observations, entries, { nowMs, settleMs })
    this.#observations = verdict.observations
    let waitMs = Math.min(LOOK_MS_MAX, verdict.waitMs ?? LOOK_MS_MAX)
    const ready = verdict.complete.filter(({ key, identity }) => !this.#running.has(key) && !this.#isWaiting(key, identity, nowMs))
    const written = await findWriters(new Set(ready.map(({ fileKey }) => fileKey)))
    for (const entry of ready) {
      // A writer that closes its file without a further write causes no event.
      if (written.has(entry.fileKey)) waitMs = Math.min(waitMs, settleMs)
      else if (this.#mayTake(entry.key)) this.#run(entry.key, () => this.#take(entry))
    }
    return Math.max(waitMs, LOOK_MS_MIN)
  }

  #mayTake(key: string): boolean {
    return this.#running.size < INBOX_PARALLEL_MAX && (this.#waiting.size < INBOX_WAITING_MAX || this.#waiting.has(key))
  }

  #isWaiting(key: string, identity: InboxEntry['identity'], nowMs: number): boolean {
    const waiting = this.#waiting.get(key)
    return waiting !== undefined && nowMs < waiting.untilMs && isSameFile(waiting.ticket.identity, identity)
  }

  #reportCrowd(isCut: boolean): void {
    if (isCut && !this.#isCrowded)
      this.#deps.emit({
        type: 'inbox.crowded',
        severity: 'warning',
        subject: 'inbox',
        message: 'The inbox has more files than are looked at. Remove those that never become images.',
      })
    this.#isCrowded = isCut
  }

  #run(key: string, work: () => Promise<void>): void {
    const run = work()
      .catch((error: unknown) => {
        if (!this.#stopping.signal.aborted) this.#deps.log.error('a file of the inbox could not be worked on', { file: shown(key), error })
      })
      .finally(() => {
        this.#running.delete(key)
        this.#wake.resolve()
      })
    this.#running.set(key, run)
  }

  /** Writes a ticket for a complete file and imports it. */
  async #take(entry: InboxEntry): Promise<void> {
    const { clock, folder, random, crashPoint } = this.#deps
    const earlier = this.#waiting.get(entry.key)
    this.#waiting.delete(entry.key)
    if (earlier && isSameFile(earlier.ticket.identity, entry.identity)) return this.#import(earlier.ticket, earlier.reason)
    if (earlier) await folder.removeTicket(earlier.ticket.imageId)
    const ticket: Ticket = {
      key: entry.key,
      identity: entry.identity,
      uploadId: newId('upl', clock.nowMs(), random(16)),
      imageId: newId('img', clock.nowMs(), random(16)),
    }
    await writeTicket(folder, ticket)
    crashPoint('inbox:ticket-written')
    await this.#import(ticket, undefined)
  }

  async #import(ticket: Ticket, reasonBefore: string | undefined): Promise<void> {
    const { clock, emit, folder, importFile } = this.#deps
    const name = shown(ticket.key)
    const judged = judgeInboxName(Buffer.from(ticket.key, 'latin1'))
    if (judged.kind !== 'image') return this.#refuse(ticket, judged.kind === 'refused' ? judged.reason : 'Its name is that of an unfinished file.')
    const outcome = await importFile({ ...ticket, path: pathOf(ticket.key) }, { name: judged.name, description: '' }, this.#stopping.signal)
    switch (outcome.kind) {
      case 'available':
        return this.#finish(ticket)
      case 'refused':
        return this.#refuse(ticket, outcome.reason)
      case 'changed':
        return folder.removeTicket(ticket.imageId)
      case 'later':
        this.#waiting.set(ticket.key, { ticket, untilMs: clock.monotonicMs() + RETRY_MS, reason: outcome.reason })
        if (outcome.reason !== reasonBefore)
          emit({ type: 'inbox.waiting', severity: 'warning', subject: name, message: `The file ${name} stays in the inbox for now: ${outcome.reason}` })
        return
      default:
        return outcome satisfies never
    }
  }

  /** Removes the file of an image that is available. */
  async #finish(ticket: Ticket): Promise<void> {
    const { folder, crashPoint } = this.#deps
    if (await folder.setAside(ticket.key, ticket.identity, ticket.imageId)) {
      crashPoint('inbox:set-aside')
      await folder.removeAside(ticket.imageId)
      crashPoint('inbox:removed')
    }
    await folder.removeTicket(ticket.imageId)
  }

  /** Moves the file of a refused image to the folder of refused files. */
  async #refuse(ticket: Ticket, reason: string): Promise<void> {
    const { emit, folder, removeImage } = this.#deps
    const name = shown(ticket.key)
    if (await folder.setAside(ticket.key, ticket.identity, ticket.imageId)) {
      const kept = await folder.moveToRefused(ticket.imageId, name, reason)
      emit({ type: 'inbox.refused', severity: 'warning', subject: name, message: `The file ${name} was moved to inbox/${REFUSED_FOLDER}/${kept}: ${reason}` })
    }
    await removeImage(ticket.imageId)
    await folder.removeTicket(ticket.imageId)
  }

  /** Follows a ticket of an earlier process. */
  async #resume(ticket: Ticket): Promise<void> {
    const { findImage, folder } = this.#deps
    const { key, identity, imageId } = ticket
    const status = findImage(imageId)?.status
    const isStored = status !== undefined && STORED.has(status)
    if (await folder.isAside(imageId)) {
      if (isStored) await folder.removeAside(imageId)
      else await folder.putBack(imageId, key)
    }
    const here = await folder.identify(key)
    if (!here || !isSameFile(here, identity)) {
      // The file was removed or replaced, or is in the folder of refused files.
      if (status === 'error') await this.#deps.removeImage(imageId)
      await folder.removeTicket(imageId)
      return
    }
    this.#run(key, () => (isStored ? this.#finish(ticket) : this.#import(ticket, undefined)))
  }
}

/** Returns the path of a file below the mount path. */
function pathOf(key: string): string {
  return `${INBOX}/${Buffer.from(key, 'latin1').toString('utf8')}`
}

/** Returns a name as it can be shown. */
function shown(key: string): string {
  return safeName(Buffer.from(key, 'latin1'))
}
