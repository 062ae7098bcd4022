// Body reader: reads the body of one request until it ends, in whatever way, and commits what is kept of it before the request is answered.

import { ProblemError } from '../../../protocol/problems.ts'
import type { ByteBudget } from './byte-budget.ts'
import { isSameDigest, startChecksum } from './checksum.ts'
import type { Checksum, RunningChecksum } from './checksum.ts'
import { ByteIntake } from './byte-intake.ts'
import type { BodyIntake, BodyIntakeDeps, UploadCommits } from './body-intake.ts'
import { SliceIntake } from './slice-intake.ts'
import type { SliceBody } from './slice-intake.ts'

/** When another request waits for the upload: silence that ends a body at once, and the longest time that it may continue, in milliseconds. */
const STOP_QUIET_MS = 50
const STOP_GRACE_MS = 250

/** How a body ended. */
export type Ending =
  /** The whole body arrived. */
  | 'end'
  /** The connection was lost. */
  | 'cut'
  /** No bytes arrived for longer than the idle limit. */
  | 'idle'
  /** Another request for the same upload arrived. */
  | 'superseded'
  | 'stopping'
  /** More bytes than the upload has room for. */
  | 'too-long'
  | 'checksum-mismatch'
  /** The store could not accept the bytes: see `failure`. */
  | 'failed'

export interface BodyReaderDeps extends BodyIntakeDeps {
  readonly byteBudget: ByteBudget
  /** A body without bytes for this long is ended, in milliseconds. */
  readonly idleLimitMs: number
  /** Called several times a second with the bytes received so far. */
  readonly onTick?: (received: number) => void
}

export interface Body {
  readonly stream: ReadableStream<Uint8Array>
  /** Bytes the upload has room for. */
  readonly room: number
  /** Whether the upload is whole once the room is filled; false while its length is deferred. */
  readonly completes: boolean
  /** Whether `Content-Length` was already checked against the room. */
  readonly isMeasured: boolean
  readonly checksum: Checksum | undefined
  /** Set for a stream of slices, each of which is checked against the room; absent for plain bytes. */
  readonly slices?: SliceBody
}

/** The members of a stream's reader that are used here; the types of Bun and of the DOM differ in the others. */
interface StreamReader {
  read(): Promise<{ readonly done: false; readonly value: Uint8Array } | { readonly done: true; readonly value?: Uint8Array | undefined }>
  cancel(): Promise<void>
  releaseLock(): void
}

export class BodyReader {
  readonly #deps: BodyReaderDeps
  readonly #body: Body
  readonly #reader: StreamReader
  readonly #intake: BodyIntake
  readonly #running: RunningChecksum | undefined
  readonly #stop = new AbortController()
  #ending: Ending | undefined
  #failure: unknown
  /** Since when a piece is waited for; undefined while one is being processed. */
  #readingSinceMs: number | undefined
  /** The whole body was read, so its connection can carry another request. */
  #isRead = false
  #isEnding = false

  constructor(deps: BodyReaderDeps, commits: UploadCommits, body: Body) {
    this.#deps = deps
    this.#body = body
    this.#reader = body.stream.getReader()
    this.#running = body.checksum && startChecksum(body.checksum.algorithm)
    const options = {
      isProvisional: body.checksum !== undefined,
      quietMs: () => this.#quietMs(),
      signal: this.#stop.signal,
      onFailure: (error: unknown) => this.#fail(error),
    }
    this.#intake = body.slices ? new SliceIntake(deps, commits, body.slices, options) : new ByteIntake(deps, commits, options)
  }

  /** Why the store accepted no more, after the ending `failed`. */
  get failure(): unknown {
    return this.#failure
  }

  /** Reads the body until it ends. Resolves when what is kept of it is committed. Never rejects. */
  async run(): Promise<Ending> {
    for (const step of [() => this.#readAll(), () => this.#commit(), () => this.#intake.close()]) {
      try {
        await step()
      } catch (error) {
        this.#fail(error)
      }
    }
    if (this.#isRead) this.#reader.releaseLock()
    else this.#cancel()
    return this.#ending ?? 'end'
  }

  /** Ends the body now; what was received so far is kept. */
  end(ending: Ending): void {
    if (this.#ending) return
    this.#ending = ending
    this.#stop.abort(new Error(`the body was ended: ${ending}`))
    this.#cancel()
  }

  /** Ends the body when it falls silent, or after a moment: another request waits for the upload. */
  endSoon(): void {
    if (this.#isEnding) return
    this.#isEnding = true
    void this.#waitAndEnd()
  }

  /** Called several times a second. */
  tick(): void {
    if (this.#ending) return
    this.#deps.onTick?.(this.#intake.received)
    if (this.#quietMs() >= this.#deps.idleLimitMs) this.end('idle')
    else this.#intake.tick()
  }

  #quietMs(): number {
    return this.#readingSinceMs === undefined ? 0 : this.#deps.clock.monotonicMs() - this.#readingSinceMs
  }

  async #waitAndEnd(): Promise<void> {
    const askedMs = this.#deps.clock.monotonicMs()
    while (!this.#ending) {
      const now = this.#deps.clock.monotonicMs()
      if (now - askedMs >= STOP_GRACE_MS || this.#quietMs() >= STOP_QUIET_MS) {
        this.end('superseded')
        return
      }
      await this.#deps.clock.sleep(STOP_QUIET_MS)
    }
  }

  async #readAll(): Promise<void> {
    const { room, isMeasured } = this.#body
    let arrived = 0
    // Without Content-Length, the piece that fills the upload is held back until the body is known to end there.
    let last: Uint8Array | undefined
    for (let piece = await this.#next(); piece; piece = await this.#next()) {
      if (piece.byteLength === 0) continue
      arrived += piece.byteLength
      if (arrived > room) {
        this.end('too-long')
        return
      }
      if (arrived === room && !isMeasured) last = piece
      else await this.#write(piece)
    }
    if (last) await this.#write(last)
  }

  async #write(piece: Uint8Array): Promise<void> {
    if (await this.#intake.write(piece)) this.#running?.update(piece)
    const pause = this.#deps.byteBudget.spend(piece.byteLength)
    if (pause) await pause
  }

  /** Returns the next piece; undefined when the body ended in any way. */
  async #next(): Promise<Uint8Array | undefined> {
    this.#readingSinceMs = this.#deps.clock.monotonicMs()
    this.#intake.startPiece()
    try {
      const { done, value } = await this.#reader.read()
      if (!done) return value
      this.#isRead = this.#ending === undefined
      this.#ending ??= 'end'
      return undefined
    } catch (error) {
      // The client disconnected, or the server ended a body that was too slow. All bytes that arrived were delivered before.
      this.#ending ??= error instanceof ProblemError && error.code === 'request-timeout' ? 'idle' : 'cut'
      return undefined
    } finally {
      this.#readingSinceMs = undefined
    }
  }

  /** Commits what the body brought, unless it does not match its checksum. */
  async #commit(): Promise<void> {
    if (this.#ending === 'failed') return
    const { checksum, completes, room } = this.#body
    if (this.#running && checksum) {
      if (this.#ending !== 'end') return
      if (!isSameDigest(this.#running.digest(), checksum.expected)) {
        this.#ending = 'checksum-mismatch'
        return
      }
    }
    await this.#intake.commit(completes && this.#intake.received === room)
    if (this.#ending === 'end' && !this.#intake.isWhole) this.#ending = 'cut'
  }

  #cancel(): void {
    // The stream may be broken already; then reading it has reported that.
    this.#reader.cancel().catch(() => {})
  }

  #fail(error: unknown): void {
    this.#failure ??= error
    this.#ending = 'failed'
    this.#stop.abort(error)
    this.#cancel()
  }
}
