// Typed client of an agent: every route of DESIGN's HTTP interface as a function, answers parsed with the same zod
// schemas that validate at the agent. Used by the bot, by the console and by agents among themselves. Web APIs only.

import type { z } from 'zod'
import { createdTokenSchema, linkSchema, tokenSchema } from './access.ts'
import type { CreatedToken, Link, NewToken, newLinkSchema, Token } from './access.ts'
import { eventSchema } from './event.ts'
import type { StoreEvent } from './event.ts'
import { exchange } from './exchange.ts'
import type { Answer, Call, Peer, QueryValue } from './exchange.ts'
import { fileSchema } from './file.ts'
import type { FileEntry } from './file.ts'
import { decodeFrames, SLICES_MEDIA_TYPE } from './frames.ts'
import type { SliceFrame } from './frames.ts'
import { healthSchema } from './health.ts'
import type { Health } from './health.ts'
import { imageSchema, uniqueSizeSchema } from './image.ts'
import type { Image, ImageFilter, ImagePatch } from './image.ts'
import { decodeManifestHeader, MANIFEST_HEADER_BYTES, MANIFEST_MEDIA_TYPE, ManifestInvalid, manifestLength } from './manifest.ts'
import { pageSchema } from './page.ts'
import type { Page } from './page.ts'
import { problem } from './problems.ts'
import type { ProblemError } from './problems.ts'
import { scheduleSchema } from './schedule.ts'
import type { Schedule, ScheduleName, SchedulePatch } from './schedule.ts'
import { storeSchema } from './store.ts'
import type { Store, StorePatch } from './store.ts'
import { missingSlicesSchema } from './sync.ts'
import type { SyncRequest } from './sync.ts'
import { taskSchema } from './task.ts'
import type { Task } from './task.ts'
import { createUploadClient } from './upload-client.ts'
import type { UploadClient } from './upload-client.ts'

/** Pages a client walks through for `all`, a bound against an agent whose pages never end. */
export const PAGES_MAX = 10_000

// Aliases and not interfaces: only an alias can be passed where a record of query members is wanted.
export type CallOptions = { readonly signal?: AbortSignal | undefined }
export type PageOptions = CallOptions & { readonly limit?: number | undefined; readonly cursor?: string | undefined }

/** Conditions and range of a request for content, as header values of RFC 9110. */
export interface ContentOptions extends CallOptions {
  readonly method?: 'GET' | 'HEAD'
  readonly range?: string
  readonly ifRange?: string
  readonly ifMatch?: string
  readonly ifNoneMatch?: string
}

/** Options whose members may be undefined, as they come from a command line. */
type Loose<T> = { readonly [Key in keyof T]?: T[Key] | undefined }

/**
 * Every function throws ProblemError: the agent's own problem, or `peer-unreachable` when it gave no answer that an
 * agent gives. An aborted signal throws its reason.
 */
export interface AgentClient {
  readonly baseUrl: string
  /** Also when the agent says `error`, which comes as 503. */
  health(options?: CallOptions): Promise<Health>
  readonly store: {
    get(options?: CallOptions): Promise<Store>
    patch(patch: StorePatch, options?: CallOptions): Promise<Store>
    enable(options?: CallOptions): Promise<Store>
    disable(reason?: string, options?: CallOptions): Promise<Store>
    reconnect(options?: CallOptions): Promise<Store>
    cleanup(dryRun?: boolean, options?: CallOptions): Promise<Task>
  }
  readonly images: {
    list(filter?: Loose<ImageFilter> & PageOptions): Promise<Page<Image>>
    /** Every page, one image after the other. */
    all(filter?: Loose<ImageFilter> & CallOptions): AsyncGenerator<Image>
    /** By id, or by name when exactly one image has it. */
    get(idOrName: string, options?: CallOptions): Promise<Image>
    patch(id: string, patch: Loose<ImagePatch>, options?: CallOptions): Promise<Image>
    /** The image in the recycle bin, or undefined when it is gone at once; `permanent` passes the bin by. */
    delete(id: string, options?: CallOptions & { readonly permanent?: boolean }): Promise<Image | undefined>
    restore(id: string, options?: CallOptions): Promise<Image>
    /** Stored bytes that only these images hold, which is what deleting all of them would free; null in a store too large to count. */
    uniqueSize(idsOrNames: readonly string[], options?: CallOptions): Promise<number | null>
    bind(id: string, instance: string, options?: CallOptions): Promise<Image>
    unbind(id: string, instance: string, options?: CallOptions): Promise<Image>
    /** `subject` is `user:NAME` or `group:NAME`. */
    grant(id: string, subject: string, options?: CallOptions): Promise<Image>
    revoke(id: string, subject: string, options?: CallOptions): Promise<Image>
    /**
     * The bytes of a manifest: first its header, then as many more as the header says. The header is checked, digest and entries are not: a
     * manifest may be as long as MANIFEST_ENTRIES_MAX entries. Throws `peer-unreachable` for bytes that are none.
     */
    manifest(id: string, options?: CallOptions): AsyncGenerator<Uint8Array<ArrayBuffer>>
    /** Answers of 200, 206 and 304; others are problems. */
    content(id: string, options?: ContentOptions): Promise<Answer>
  }
  readonly files: {
    list(path?: string, options?: PageOptions): Promise<Page<FileEntry>>
    content(path: string, options?: ContentOptions): Promise<Answer>
  }
  readonly tasks: {
    list(options?: PageOptions & { readonly state?: string | undefined; readonly kind?: string | undefined }): Promise<Page<Task>>
    get(id: string, options?: CallOptions): Promise<Task>
    cancel(id: string, options?: CallOptions): Promise<Task>
    retry(id: string, options?: CallOptions): Promise<Task>
  }
  readonly schedules: {
    list(options?: PageOptions): Promise<Page<Schedule>>
    patch(name: ScheduleName, patch: Loose<SchedulePatch>, options?: CallOptions): Promise<Schedule>
    run(name: ScheduleName, options?: CallOptions): Promise<Task>
  }
  readonly events: {
    list(options?: PageOptions): Promise<Page<StoreEvent>>
  }
  readonly tokens: {
    list(options?: PageOptions): Promise<Page<Token>>
    create(token: NewToken, options?: CallOptions): Promise<CreatedToken>
    delete(id: string, options?: CallOptions): Promise<void>
  }
  readonly links: {
    create(link: z.input<typeof newLinkSchema>, options?: CallOptions): Promise<Link>
  }
  readonly slices: {
    /** Those of the digests that the agent does not have. */
    missing(digests: readonly string[], options?: CallOptions): Promise<string[]>
    /**
     * The slices in the order asked for; digests are not verified here. `image` is the id of the image that they belong to, where it is
     * known: the agent can then always tell whether it may send them. Throws FrameInvalid, also for a slice longer than `lengthMax`, or
     * ProblemError in the stream.
     */
    fetch(digests: readonly string[], options?: CallOptions & { readonly image?: string | undefined; readonly lengthMax?: number }): AsyncGenerator<SliceFrame>
  }
  readonly uploads: UploadClient
  sync(request: SyncRequest, options?: CallOptions): Promise<Task>
}

/**
 * Makes a client of one agent.
 *
 * @example
 * const agent = createAgentClient({ baseUrl: 'http://127.0.0.1:8420', token })
 * for await (const image of agent.images.all({ status: 'available' })) print(image.name)
 */
export function createAgentClient(peer: Peer): AgentClient {
  const call = (request: Call): Promise<Answer> => exchange(peer, { ...request, path: ['v1', ...request.path] })
  const ask = async <Schema extends z.ZodType>(schema: Schema, request: Call): Promise<z.output<Schema>> => (await call(request)).json(schema)
  const post = <Schema extends z.ZodType>(schema: Schema, path: readonly string[], options: CallOptions = {}, json?: unknown): Promise<z.output<Schema>> =>
    ask(schema, { method: 'POST', path, json, signal: options.signal })
  const patch = <Schema extends z.ZodType>(schema: Schema, path: readonly string[], json: unknown, options: CallOptions = {}): Promise<z.output<Schema>> =>
    ask(schema, { method: 'PATCH', path, json, signal: options.signal })
  const get = <Schema extends z.ZodType>(schema: Schema, path: readonly string[], options: CallOptions & Record<string, QueryValue | AbortSignal> = {}) => {
    const { signal, ...query } = options
    return ask(schema, { path, query: query as Record<string, QueryValue>, signal })
  }
  const member = (method: 'PUT' | 'DELETE', id: string, set: 'bindings' | 'grants', name: string, options: CallOptions = {}): Promise<Image> =>
    ask(imageSchema, { method, path: ['images', id, set, name], signal: options.signal })

  return {
    baseUrl: peer.baseUrl,
    health: (options = {}) => ask(healthSchema, { path: ['health'], accept: [503], signal: options.signal }),
    store: {
      get: (options) => get(storeSchema, ['store'], options),
      patch: (change, options) => patch(storeSchema, ['store'], change, options),
      enable: (options) => post(storeSchema, ['store', 'enable'], options),
      disable: (reason = '', options) => post(storeSchema, ['store', 'disable'], options, { reason }),
      reconnect: (options) => post(storeSchema, ['store', 'reconnect'], options),
      cleanup: (dryRun = false, options) => post(taskSchema, ['store', 'cleanup'], options, { dryRun }),
    },
    images: {
      list: (filter) => get(imagePageSchema, ['images'], filter),
      all: (filter = {}) => walk((cursor) => get(imagePageSchema, ['images'], { ...filter, cursor })),
      get: (idOrName, options) => get(imageSchema, ['images', idOrName], options),
      patch: (id, change, options) => patch(imageSchema, ['images', id], change, options),
      async delete(id, options = {}) {
        const answer = await call({ method: 'DELETE', path: ['images', id], query: { permanent: options.permanent }, signal: options.signal })
        if (answer.status !== 204) return answer.json(imageSchema)
        await answer.close()
        return undefined
      },
      restore: (id, options) => post(imageSchema, ['images', id, 'restore'], options),
      uniqueSize: async (images, options) => (await post(uniqueSizeSchema, ['unique-size'], options, { images })).uniqueSize,
      bind: (id, instance, options) => member('PUT', id, 'bindings', instance, options),
      unbind: (id, instance, options) => member('DELETE', id, 'bindings', instance, options),
      grant: (id, subject, options) => member('PUT', id, 'grants', subject, options),
      revoke: (id, subject, options) => member('DELETE', id, 'grants', subject, options),
      manifest: (id, options = {}) =>
        readManifest(peer, () => call({ path: ['images', id, 'manifest'], headers: { accept: MANIFEST_MEDIA_TYPE }, signal: options.signal })),
      content: (id, options = {}) => call(contentCall(['images', id, 'content'], {}, options)),
    },
    files: {
      list: (path = '', options = {}) => get(filePageSchema, ['files'], { ...options, path }),
      content: (path, options = {}) => call(contentCall(['files', 'content'], { path }, options)),
    },
    tasks: {
      list: (options) => get(taskPageSchema, ['tasks'], options),
      get: (id, options) => get(taskSchema, ['tasks', id], options),
      cancel: (id, options) => post(taskSchema, ['tasks', id, 'cancel'], options),
      retry: (id, options) => post(taskSchema, ['tasks', id, 'retry'], options),
    },
    schedules: {
      list: (options) => get(schedulePageSchema, ['schedules'], options),
      patch: (name, change, options) => patch(scheduleSchema, ['schedules', name], change, options),
      run: (name, options) => post(taskSchema, ['schedules', name, 'run'], options),
    },
    events: { list: (options) => get(eventPageSchema, ['events'], options) },
    tokens: {
      list: (options) => get(tokenPageSchema, ['tokens'], options),
      create: (token, options) => post(createdTokenSchema, ['tokens'], options, token),
      async delete(id, options = {}) {
        const answer = await call({ method: 'DELETE', path: ['tokens', id], signal: options.signal })
        await answer.close()
      },
    },
    links: { create: (link, options) => post(linkSchema, ['links'], options, link) },
    slices: {
      missing: async (digests, options) => (await post(missingSlicesSchema, ['slices', 'missing'], options, { digests })).missing,
      async *fetch(digests, options = {}) {
        const answer = await call({
          method: 'POST',
          path: ['slices', 'fetch'],
          json: { digests, image: options.image },
          headers: { accept: SLICES_MEDIA_TYPE },
          signal: options.signal,
        })
        yield* decodeFrames(answer.body(), options.lengthMax)
      },
    },
    uploads: createUploadClient(call),
    sync: (request, options) => post(taskSchema, ['sync'], options, request),
  }
}

const imagePageSchema = pageSchema(imageSchema)
const filePageSchema = pageSchema(fileSchema)
const taskPageSchema = pageSchema(taskSchema)
const schedulePageSchema = pageSchema(scheduleSchema)
const eventPageSchema = pageSchema(eventSchema)
const tokenPageSchema = pageSchema(tokenSchema)

/** Sends the request when the first bytes are wanted: a refusal before that would be an unhandled rejection, which ends the process. */
async function* readManifest(peer: Peer, ask: () => Promise<Answer>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const invalid = (why: string, cause?: unknown): ProblemError =>
    problem('peer-unreachable', `${peer.baseUrl} sent a manifest that is not valid: ${why}.`, {}, { cause })
  const header = new Uint8Array(MANIFEST_HEADER_BYTES)
  let length: number | undefined
  let received = 0
  for await (const piece of (await ask()).body()) {
    let rest = piece
    if (length === undefined) {
      const part = piece.subarray(0, MANIFEST_HEADER_BYTES - received)
      header.set(part, received)
      received += part.byteLength
      rest = piece.subarray(part.byteLength)
      if (received < MANIFEST_HEADER_BYTES) continue
      try {
        length = manifestLength(decodeManifestHeader(header).count)
      } catch (error) {
        throw error instanceof ManifestInvalid ? invalid(error.message, error) : error
      }
      yield header
    }
    received += rest.byteLength
    if (received > length) throw invalid(`it is longer than the ${length} bytes that its header says`)
    if (rest.byteLength > 0) yield rest
  }
  if (received !== length) throw invalid('it ends before its end')
}

function contentCall(path: readonly string[], query: Call['query'], options: ContentOptions): Call {
  const headers: Record<string, string> = { accept: '*/*' }
  if (options.range !== undefined) headers['range'] = options.range
  if (options.ifRange !== undefined) headers['if-range'] = options.ifRange
  if (options.ifMatch !== undefined) headers['if-match'] = options.ifMatch
  if (options.ifNoneMatch !== undefined) headers['if-none-match'] = options.ifNoneMatch
  return { method: options.method ?? 'GET', path, query, headers, accept: [304], signal: options.signal }
}

async function* walk<Item>(page: (cursor: string | undefined) => Promise<Page<Item>>): AsyncGenerator<Item> {
  let cursor: string | undefined
  for (let count = 0; count < PAGES_MAX; count++) {
    const { items, next } = await page(cursor)
    yield* items
    if (next === null) return
    cursor = next
  }
}
