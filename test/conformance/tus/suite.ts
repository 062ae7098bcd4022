// What a case of the suite is, and what it works with. A case speaks to a server by its address alone.

import { Wire } from './wire.ts'
import type { Answer, WireRequest } from './wire.ts'

/** Strength of what a case asks: of the specification (`must`, `should`), or what a server that is as good as can be does. */
export type Level = 'must' | 'should' | 'best'

/** Extensions of tus that a case needs; a server that does not announce them is not held to it. */
export type Extension =
  | 'creation'
  | 'creation-with-upload'
  | 'creation-defer-length'
  | 'expiration'
  | 'termination'
  | 'checksum'
  | 'concatenation'
  /** Not an extension: the server grants a page of another origin. */
  | 'cors'

export interface Case {
  /** Row of the table in docs/tus.md. */
  readonly row: number
  readonly name: string
  readonly level: Level
  readonly needs?: readonly Extension[]
  /** Resolves when the server behaves; throws Deviation when it does not. */
  run(target: Target): Promise<void>
}

/** What a server did other than it should. */
export class Deviation extends Error {
  override readonly name = 'Deviation'
}

export interface TargetOptions {
  /** Address where uploads are created. */
  readonly url: string
  /** Headers of every request, such as Authorization. */
  readonly headers?: Readonly<Record<string, string>>
  /** An origin that the server grants to pages of. */
  readonly origin?: string
}

export const OFFSET_TYPE = { 'Content-Type': 'application/offset+octet-stream' }

/** A server under test. */
export class Target {
  readonly options: TargetOptions
  /** Answer to OPTIONS, asked once. */
  readonly announced: Answer

  private constructor(options: TargetOptions, announced: Answer) {
    this.options = options
    this.announced = announced
  }

  static async open(options: TargetOptions): Promise<Target> {
    using wire = await Wire.open(options.url)
    await wire.send({ method: 'OPTIONS', url: options.url, headers: { ...options.headers } })
    return new Target(options, await wire.answer('OPTIONS'))
  }

  has(extension: Extension): boolean {
    if (extension === 'cors') return this.options.origin !== undefined
    const list = this.announced.headers.get('tus-extension') ?? ''
    return list.split(',').some((name) => name.trim() === extension)
  }

  /** Headers of a request: authorization, version, and what the case wants; an empty value takes a header away. */
  headers(more: Readonly<Record<string, string>> = {}): Record<string, string> {
    const all: Record<string, string> = { ...this.options.headers, 'Tus-Resumable': '1.0.0', ...more }
    return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ''))
  }

  /** One request on a connection of its own. */
  async ask(method: string, url: string, headers: Readonly<Record<string, string>> = {}, body?: Uint8Array, isChunked = false): Promise<Answer> {
    using wire = await Wire.open(url)
    const request: WireRequest = { method, url, headers: this.headers(headers), ...(body ? { body } : {}), isChunked }
    await wire.send(body || method !== 'POST' ? request : { ...request, body: new Uint8Array(0) })
    return await wire.answer(method)
  }

  post(headers: Readonly<Record<string, string>>, body?: Uint8Array): Promise<Answer> {
    return this.ask('POST', this.options.url, headers, body)
  }

  /** Creates an upload and gives its absolute URL. */
  async create(length: number | 'deferred', headers: Readonly<Record<string, string>> = {}): Promise<string> {
    const size: Record<string, string> = length === 'deferred' ? { 'Upload-Defer-Length': '1' } : { 'Upload-Length': String(length) }
    const answer = await this.post({ ...size, ...headers })
    expectStatus(answer, 201, 'creating an upload')
    return this.location(answer)
  }

  /** The absolute URL that a Location names. */
  location(answer: Answer): string {
    const location = answer.headers.get('location')
    if (location === undefined) throw new Deviation('the answer has no Location')
    return new URL(location, this.options.url).href
  }

  patch(url: string, offset: number, body: Uint8Array, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.ask('PATCH', url, { ...OFFSET_TYPE, 'Upload-Offset': String(offset), ...headers }, body)
  }

  head(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.ask('HEAD', url, headers)
  }

  /** Offset by HEAD. */
  async offset(url: string): Promise<number> {
    const answer = await this.head(url)
    expectSuccess(answer, 'HEAD')
    return Number(answer.headers.get('upload-offset'))
  }

  /** Begins a PATCH that announces `length` bytes and sends only some; the connection stays open. */
  async beginPatch(url: string, offset: number, length: number, sent: Uint8Array, headers: Readonly<Record<string, string>> = {}): Promise<Wire> {
    const wire = await Wire.open(url)
    await wire.send({ method: 'PATCH', url, headers: this.headers({ ...OFFSET_TYPE, 'Upload-Offset': String(offset), ...headers }), body: sent }, length)
    return wire
  }
}

export function expectStatus(answer: Answer, status: number | readonly number[], doing: string): void {
  const allowed = typeof status === 'number' ? [status] : status
  if (!allowed.includes(answer.status)) throw new Deviation(`${doing}: ${answer.status} instead of ${allowed.join(' or ')}`)
}

export function expectSuccess(answer: Answer, doing: string): void {
  if (answer.status < 200 || answer.status > 299) throw new Deviation(`${doing}: ${answer.status} instead of 2xx`)
}

export function expectHeader(answer: Answer, name: string, value: string | RegExp, doing: string): void {
  const got = answer.headers.get(name.toLowerCase())
  const isRight = got !== undefined && (typeof value === 'string' ? got === value : value.test(got))
  if (!isRight) throw new Deviation(`${doing}: ${name} is ${got === undefined ? 'missing' : JSON.stringify(got)}, not ${value}`)
}

export function expectNoHeader(answer: Answer, name: string, doing: string): void {
  const got = answer.headers.get(name.toLowerCase())
  if (got !== undefined) throw new Deviation(`${doing}: ${name} is there: ${JSON.stringify(got)}`)
}

export function expectThat(condition: boolean, otherwise: string): void {
  if (!condition) throw new Deviation(otherwise)
}

/** Bytes that look random, the same at each call. */
export function sampleBytes(length: number, seed = 7): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length)
  let state = seed
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}

/** Looks again and again until a condition holds; throws Deviation with `what` when it does not within the time. */
export async function eventually(what: string, look: () => Promise<boolean>, withinMs = 10_000): Promise<void> {
  const endMs = performance.now() + withinMs
  while (!(await look())) {
    if (performance.now() > endMs) throw new Deviation(`after ${withinMs} ms still not: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
