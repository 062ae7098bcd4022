// Records the requests of clients and their acknowledgements, each with the position in the write log of the agent's disk at that time.
// For a disk state that was cut at a position it determines the values that the agent must have or may have.

/** Returns the position in the write log. */
export type Position = () => number

interface Change<T> {
  readonly to: T
  /** Position before the request was sent: a disk cut before it cannot contain the change. */
  readonly asked: number
  /** Position after the response was received: a disk cut after it must contain the change. */
  told: number | undefined
}

/** A requested change without a response yet. */
export interface PendingChange {
  /** Records that the change was acknowledged. */
  confirm(): void
  /** Records that the change was refused, so nothing changed. */
  refuse(): void
}

/** The history of one value that clients change, one request after the other. */
export class Timeline<T> {
  readonly #position: Position
  readonly #first: T
  #changes: Change<T>[] = []

  constructor(position: Position, first: T) {
    this.#position = position
    this.#first = first
  }

  /** Records a request; call it before the request is sent. */
  ask(to: T, asked = this.#position()): PendingChange {
    const change: Change<T> = { to, asked, told: undefined }
    this.#changes.push(change)
    return {
      confirm: () => (change.told = this.#position()),
      refuse: () => (this.#changes = this.#changes.filter((one) => one !== change)),
    }
  }

  /** The value of the last request, with or without a response. */
  get last(): T {
    return this.#changes.at(-1)?.to ?? this.#first
  }

  /** Returns the values that a disk cut at the position may have: the acknowledged one, and those requested since. */
  at(position: number): T[] {
    const certain = this.#changes.findLastIndex(({ told }) => told !== undefined && told <= position)
    const open = this.#changes.slice(certain + 1).filter(({ asked }) => asked < position)
    return [...new Set([this.#changes[certain]?.to ?? this.#first, ...open.map(({ to }) => to)])]
  }

  /** Positions at which a change was acknowledged. */
  get acknowledged(): number[] {
    return this.#changes.flatMap(({ told }) => (told === undefined ? [] : [told]))
  }
}

export type ImageState = 'absent' | 'kept' | 'binned' | 'gone'
export type UploadState = 'absent' | 'open' | 'finished' | 'terminated'

export interface ImageFacts {
  readonly name: string
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Set once a client has received it. */
  id: string | undefined
  readonly state: Timeline<ImageState>
  readonly description: Timeline<string>
}

export interface UploadFacts {
  readonly name: string
  readonly bytes: Uint8Array<ArrayBuffer>
  path: string | undefined
  readonly state: Timeline<UploadState>
  /** Offsets that a client received. */
  readonly offsets: { readonly position: number; readonly offset: number }[]
  /** Ends of the bodies that were sent. */
  readonly sent: { readonly position: number; readonly end: number }[]
  /** The image that the upload becomes; undefined for a part. */
  readonly image: ImageFacts | undefined
}

export interface TokenFacts {
  id: string | undefined
  secret: string | undefined
  readonly state: Timeline<'absent' | 'valid' | 'revoked'>
}

export interface TaskFacts {
  readonly id: string
  readonly kind: string
  /** `ended` means succeeded: no task of the workload may fail. */
  readonly state: Timeline<'absent' | 'known' | 'ended'>
}

export class History {
  readonly position: Position
  readonly images: ImageFacts[] = []
  readonly uploads: UploadFacts[] = []
  readonly tokens: TokenFacts[] = []
  readonly tasks: TaskFacts[] = []
  readonly enabled: Timeline<boolean>
  readonly description: Timeline<string>

  constructor(position: Position) {
    this.position = position
    this.enabled = new Timeline(position, true)
    this.description = new Timeline(position, '')
  }

  addImage(name: string, bytes: Uint8Array<ArrayBuffer>): ImageFacts {
    const image: ImageFacts = {
      name,
      bytes,
      id: undefined,
      state: new Timeline<ImageState>(this.position, 'absent'),
      description: new Timeline(this.position, ''),
    }
    this.images.push(image)
    return image
  }

  addUpload(name: string, bytes: Uint8Array<ArrayBuffer>, { isPart = false } = {}): UploadFacts {
    const image = isPart ? undefined : this.addImage(name, bytes)
    const state = new Timeline<UploadState>(this.position, 'absent')
    const upload: UploadFacts = { name, bytes, path: undefined, state, offsets: [], sent: [], image }
    this.uploads.push(upload)
    return upload
  }

  addToken(): TokenFacts {
    const token: TokenFacts = { id: undefined, secret: undefined, state: new Timeline<'absent' | 'valid' | 'revoked'>(this.position, 'absent') }
    this.tokens.push(token)
    return token
  }

  addTask(id: string, kind: string): TaskFacts {
    const task: TaskFacts = { id, kind, state: new Timeline<'absent' | 'known' | 'ended'>(this.position, 'absent') }
    this.tasks.push(task)
    return task
  }

  /** Every position at which a client received an acknowledgement, ascending. */
  get acknowledged(): number[] {
    const timelines = [
      this.enabled,
      this.description,
      ...this.images.flatMap(({ state, description }) => [state, description]),
      ...[...this.uploads, ...this.tokens, ...this.tasks].map(({ state }) => state),
    ]
    const offsets = this.uploads.flatMap((upload) => upload.offsets.map(({ position }) => position))
    return [...timelines.flatMap((timeline) => timeline.acknowledged), ...offsets].toSorted((a, b) => a - b)
  }
}

/** Returns the lowest and highest offset that an upload may have on a disk cut at the position. */
export function offsetsAt(upload: UploadFacts, position: number): { readonly least: number; readonly greatest: number } {
  return {
    least: Math.max(0, ...upload.offsets.filter((told) => told.position <= position).map(({ offset }) => offset)),
    greatest: Math.max(0, ...upload.sent.filter((sent) => sent.position < position).map(({ end }) => end)),
  }
}
