// The type of a case, and the functions that cases use. A case needs only the URL of a server.

import { Wire } from './wire.ts'
import type { Answer, WireRequest } from './wire.ts'

/** Level of a case: a requirement of the specification (`must`, `should`), or behaviour beyond it (`best`). */
export type Level = 'must' | 'should' | 'best'

/** Extensions of tus that a case needs; it is skipped for servers that do not announce them. */
export type Extension =
  | 'creation'
  | 'creation-with-upload'
  | 'creation-defer-length'
  | 'expiration'
  | 'termination'
  | 'checksum'
  | 'concatenation'
  /** Not an extension: the server allows a page of another origin. */
  | 'cors'

export interface Case {
  /** Row of the table in docs/internals/conformance.md. */
  readonly row: number
  readonly name: string
  readonly level: Level
  readonly needs?: readonly Extension[]
  /** Throws Deviation when the server deviates from the expected behaviour. */
  run(target: Target): Promise<void>
}

/** A deviation of the server from the expected behaviour. */
export class Deviation extends Error {
  override readonly name = 'Deviation'
}

export interface TargetOptions {
  /** URL that creates uploads. */
  readonly url: string
  /** Headers of every request, such as Authorization. */
  readonly headers?: Readonly<Record<string, string>>
  /** An origin whose pages the server allows. */
  readonly origin?: string
}

export const OFFSET_TYPE = { 'Content-Type': 'application/offset+octet-stream' }

/** A server under test. */
export class Target {
  readonly options: TargetOptions
  /** Answer to the OPTIONS request that is sent once. */
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

  /** Returns the headers of a request: authorization, version, and those of the case. An empty value removes a header. */
  headers(more: Readonly<Record<string, string>> = {}): Record<string, string> {
    const all: Record<string, string> = { ...this.options.headers, 'Tus-Resumable': '1.0.0', ...more }
    return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ''))
  }

  /** Sends one request on a new connection. */
  async ask(method: string, url: string, headers: Readonly<Record<string, string>> = {}, body?: Uint8Array, isChunked = false): Promise<Answer> {
    using wire = await Wire.open(url)
    const request: WireRequest = { method, url, headers: this.headers(headers), ...(body ? { body } : {}), isChunked }
    await wire.send(body || method !== 'POST' ? request : { ...request, body: new Uint8Array(0) })
    return await wire.answer(method)
  }

  post(headers: Readonly<Record<string, string>>, body?: Uint8Array): Promise<Answer> {
    return this.ask('POST', this.options.url, headers, body)
  }

  /** Creates an upload and returns its absolute URL. */
  async create(length: number | 'deferred', headers: Readonly<Record<string, string>> = {}): Promise<string> {
    const size: Record<string, string> = length === 'deferred' ? { 'Upload-Defer-Length': '1' } : { 'Upload-Length': String(length) }
    const answer = await this.post({ ...size, ...headers })
    expectStatus(answer, 201, 'creating an upload')
    return this.location(answer)
  }

  /** Returns the absolute URL of a Location header. */
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

  /** Returns the offset from HEAD. */
  async offset(url: string): Promise<number> {
    const answer = await this.head(url)
    expectSuccess(answer, 'HEAD')
    return Number(answer.headers.get('upload-offset'))
  }

  /** Starts a PATCH that announces `length` bytes and sends only some of them. The connection stays open. */
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
  if (got !== undefined) throw new Deviation(`${doing}: ${name} is present: ${JSON.stringify(got)}`)
}

export function expectThat(condition: boolean, otherwise: string): void {
  if (!condition) throw new Deviation(otherwise)
}

/** Returns pseudo-random bytes, the same at each call. */
export function sampleBytes(length: number, seed = 7): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length)
  let state = seed
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}

/** Waits until a condition holds. Throws Deviation with `what` when it does not hold in time. */
export async function eventually(what: string, look: () => Promise<boolean>, withinMs = 10_000): Promise<void> {
  const endMs = performance.now() + withinMs
  while (!(await look())) {
    if (performance.now() > endMs) throw new Deviation(`not within ${withinMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
