// Typed client of an agent: every route of its HTTP interface as a function. Answers are parsed with the zod schemas that the agent validates
// with. Used by the bot, by the console, and between agents. Web APIs only.

import type { z } from 'zod'
import { createdTokenSchema, linkSchema, tokenSchema } from '../access.ts'
import type { CreatedToken, Link, NewToken, newLinkSchema, Token } from '../access.ts'
import { eventSchema } from '../event.ts'
import type { Severity, StoreEvent } from '../event.ts'
import { EVIDENCE_BYTES_MAX, EVIDENCE_MEDIA_TYPE } from '../evidence.ts'
import { exportPlanSchema, exportSchema } from '../images/export.ts'
import type { ConversionTarget, Export, ExportPlan, NewExport } from '../images/export.ts'
import { followEvents } from './event-stream.ts'
import type { FollowOptions, StreamedItem } from './event-stream.ts'
import { exchange } from './exchange.ts'
import type { Answer, Call, Peer, QueryValue } from './exchange.ts'
import { fileSchema } from '../file.ts'
import type { FileEntry } from '../file.ts'
import { decodeAnswerFrames, decodeFrames, SLICES_MEDIA_TYPE } from '../slices/frames.ts'
import type { AnswerFrame, SliceFrame } from '../slices/frames.ts'
import type { Right } from '../images/grant.ts'
import { healthSchema } from '../health.ts'
import type { Health } from '../health.ts'
import { imageSchema, uniqueSizeSchema } from '../images/image.ts'
import type { Image, ImagePatch } from '../images/image.ts'
import type { ImageFilter, ImageOrder } from '../images/image-list.ts'
import { importPlanSchema } from '../images/imports.ts'
import type { ImportPlan, ImportRequest } from '../images/imports.ts'
import { MANIFEST_MEDIA_TYPE } from '../slices/manifest.ts'
import { readManifest } from './manifest-client.ts'
import { mediaGroupSchema } from '../images/media-group.ts'
import { hostKeySchema } from '../images/host-key.ts'
import type { HostKey } from '../images/host-key.ts'
import type { MediaGroup, MediaGroupPatch, NewMediaGroup } from '../images/media-group.ts'
import { pageSchema } from '../page.ts'
import type { Page } from '../page.ts'
import type { ReconcileRequest } from '../reconcile.ts'
import { scheduleSchema } from '../schedule.ts'
import type { Schedule, ScheduleName, SchedulePatch } from '../schedule.ts'
import { storeIdentitySchema, storeSchema } from '../store.ts'
import type { Store, StoreIdentity, StorePatch } from '../store.ts'
import { missingSlicesSchema } from '../sync/sync.ts'
import { createdSyncGrantSchema } from '../sync/sync-grant.ts'
import type { CreatedSyncGrant, NewSyncGrant } from '../sync/sync-grant.ts'
import type { SyncRequest } from '../sync/sync.ts'
import { taskSchema } from '../task.ts'
import type { Task } from '../task.ts'
import { usageSchema } from '../images/usage.ts'
import type { Usage, UsageQuery } from '../images/usage.ts'
import { uploadSchema } from '../upload.ts'
import type { Upload, UploadState } from '../upload.ts'
import { uploadLinkSchema } from '../upload-link.ts'
import type { UploadLink } from '../upload-link.ts'
import { createUploadClient, TUS } from './upload-client.ts'
import type { UploadClient } from './upload-client.ts'

/** Longest time for a complete archive of evidence, in milliseconds. */
const EVIDENCE_MS_MAX = 60_000
/** Most pages that `all` reads, in case an agent returns pages without end. */
export const PAGES_MAX = 10_000

// Type aliases, since an interface is not assignable to a record of query members.
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

/** `image` is the id of the image of the slices; `lengthMax` the most bytes of one of them. */
export type SliceOptions = CallOptions & { readonly image?: string | undefined; readonly lengthMax?: number }

/** Options whose members may be undefined, such as those parsed from a command line. */
/** What is imported, without the choice between a plan and the import. */
export type ImportOrder = Omit<ImportRequest, 'dryRun'>

type Loose<T> = { readonly [Key in keyof T]?: T[Key] | undefined }

/**
 * Every function throws ProblemError: the agent's problem, or `peer-unreachable` when the answer does not come from an agent. When the signal aborts,
 * throws its reason.
 */
export interface AgentClient {
  readonly baseUrl: string
  /** Returns the health. Does not throw when its state is `error`, which is answered with 503. */
  health(options?: CallOptions): Promise<Health>
  /** Returns the archive of what the agent knows of its store. Throws `peer-unreachable` when it is longer than EVIDENCE_BYTES_MAX. */
  evidence(options?: CallOptions): Promise<Uint8Array<ArrayBuffer>>
  readonly store: {
    get(options?: CallOptions): Promise<Store>
    /** Returns what identifies the store. Also reads the answer of a newer agent, whose other members may differ. */
    identify(options?: CallOptions): Promise<StoreIdentity>
    patch(patch: StorePatch, options?: CallOptions): Promise<Store>
    enable(options?: CallOptions): Promise<Store>
    disable(reason?: string, options?: CallOptions): Promise<Store>
    reconnect(options?: CallOptions): Promise<Store>
    cleanup(dryRun?: boolean, options?: CallOptions): Promise<Task>
    /** Starts a comparison of the catalogue with the mount path. Its result is a ReconcileResult. */
    reconcile(request?: ReconcileRequest, options?: CallOptions): Promise<Task>
  }
  readonly images: {
    list(filter?: Loose<ImageFilter> & { readonly sort?: ImageOrder | undefined } & PageOptions): Promise<Page<Image>>
    /** Returns the images of all pages. */
    all(filter?: Loose<ImageFilter> & { readonly sort?: ImageOrder | undefined } & CallOptions): AsyncGenerator<Image>
    /** Returns an image by its id, or by its name when exactly one image has it. */
    get(idOrName: string, options?: CallOptions): Promise<Image>
    patch(id: string, patch: Loose<ImagePatch>, options?: CallOptions): Promise<Image>
    /** Returns the image in the recycle bin; undefined when it was deleted for good, as with `permanent`. */
    delete(id: string, options?: CallOptions & { readonly permanent?: boolean }): Promise<Image | undefined>
    restore(id: string, options?: CallOptions): Promise<Image>
    /** Starts an import from an address or a path. */
    import(request: ImportOrder, options?: CallOptions): Promise<Task>
    /** Returns what an import would do, and changes nothing. */
    planImport(request: ImportOrder, options?: CallOptions): Promise<ImportPlan>
    /** Returns the stored bytes that deleting all of these images would free; null in a store too large to count. */
    uniqueSize(idsOrNames: readonly string[], options?: CallOptions): Promise<number | null>
    bind(id: string, instance: string, options?: CallOptions): Promise<Image>
    unbind(id: string, instance: string, options?: CallOptions): Promise<Image>
    /** `subject` is `user:NAME` or `group:NAME`; `set` are its rights, read and use by default. */
    grant(id: string, subject: string, options?: CallOptions & { readonly set?: readonly Right[] | undefined }): Promise<Image>
    revoke(id: string, subject: string, options?: CallOptions): Promise<Image>
    /**
     * Returns the bytes of a manifest: first its header, then as many bytes as the header announces. Verifies the header, but neither the digest nor
     * the entries, of which there are up to MANIFEST_ENTRIES_MAX. Throws `peer-unreachable` when the bytes are not a manifest.
     */
    manifest(id: string, options?: CallOptions): AsyncGenerator<Uint8Array<ArrayBuffer>>
    /** Returns answers with status 200, 206 or 304. Throws for others. With `as`, the content is converted. */
    content(id: string, options?: ContentOptions & { readonly as?: ConversionTarget | undefined }): Promise<Answer>
    /** Starts to write the image as a file into exports/. */
    export(id: string, order?: Loose<Omit<NewExport, 'dryRun'>>, options?: CallOptions): Promise<Task>
    /** Returns what an export would do, and changes nothing. */
    planExport(id: string, order?: Loose<Omit<NewExport, 'dryRun'>>, options?: CallOptions): Promise<ExportPlan>
  }
  readonly mediaGroups: {
    list(options?: PageOptions): Promise<Page<MediaGroup>>
    /** Returns the groups of all pages. */
    all(options?: CallOptions): AsyncGenerator<MediaGroup>
    create(group: Loose<NewMediaGroup> & Pick<NewMediaGroup, 'name'>, options?: CallOptions): Promise<MediaGroup>
    /** Changes a group; also one that only images name. */
    patch(name: string, patch: Loose<MediaGroupPatch>, options?: CallOptions): Promise<MediaGroup>
    /** Deletes a group without images. */
    delete(name: string, options?: CallOptions): Promise<void>
  }
  readonly hostKeys: {
    list(options?: PageOptions): Promise<Page<HostKey>>
    /** Returns the pinned keys of all pages. */
    all(options?: CallOptions): AsyncGenerator<HostKey>
    /** Forgets the pinned key of `host:port`. */
    forget(host: string, options?: CallOptions): Promise<void>
  }
  readonly exports: {
    /** Lists exports, of one image with `image`. */
    list(options?: PageOptions & { readonly image?: string | undefined }): Promise<Page<Export>>
    /** Returns the exports of all pages. */
    all(options?: CallOptions & { readonly image?: string | undefined }): AsyncGenerator<Export>
    get(id: string, options?: CallOptions): Promise<Export>
    delete(id: string, options?: CallOptions): Promise<void>
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
    /** Pauses a sync until it is resumed. */
    pause(id: string, options?: CallOptions): Promise<Task>
    resume(id: string, options?: CallOptions): Promise<Task>
    retry(id: string, options?: CallOptions): Promise<Task>
  }
  readonly schedules: {
    list(options?: PageOptions): Promise<Page<Schedule>>
    patch(name: ScheduleName, patch: Loose<SchedulePatch>, options?: CallOptions): Promise<Schedule>
    run(name: ScheduleName, options?: CallOptions): Promise<Task>
  }
  readonly events: {
    /** Lists events, newest first; with `since`, those after that id, oldest first. */
    list(
      options?: PageOptions & { readonly since?: string | undefined; readonly type?: string | undefined; readonly severity?: Severity | undefined },
    ): Promise<Page<StoreEvent>>
    /** Follows the events and the state of the store: see `followEvents`. */
    follow(options?: FollowOptions): AsyncGenerator<StreamedItem>
  }
  readonly tokens: {
    list(options?: PageOptions): Promise<Page<Token>>
    create(token: NewToken, options?: CallOptions): Promise<CreatedToken>
    /** Gives a token a new secret; the previous one becomes invalid at once. */
    rotate(id: string, options?: CallOptions): Promise<CreatedToken>
    delete(id: string, options?: CallOptions): Promise<void>
  }
  readonly syncGrants: {
    /** Creates a grant with which another store copies these images; only this answer shows its token. */
    create(grant: NewSyncGrant, options?: CallOptions): Promise<CreatedSyncGrant>
  }
  readonly links: {
    create(link: z.input<typeof newLinkSchema>, options?: CallOptions): Promise<Link>
    /** Returns upload links, oldest first: for operators all, for others those of the token. */
    list(options?: PageOptions): Promise<Page<UploadLink>>
    get(id: string, options?: CallOptions): Promise<UploadLink>
    /** Revokes an upload link and cancels its upload. */
    revoke(id: string, options?: CallOptions): Promise<void>
  }
  readonly slices: {
    /** Returns the digests that the agent does not have. */
    missing(digests: readonly string[], options?: CallOptions): Promise<string[]>
    /**
     * Returns the slices in the order of the digests. Does not verify them. `image` is the id of their image, if it is known: the agent can then decide
     * whether it may send them even while it is indexing its images. The stream throws FrameInvalid, also for a slice longer than `lengthMax`, or
     * ProblemError.
     */
    fetch(digests: readonly string[], options?: SliceOptions): AsyncGenerator<SliceFrame>
    /** Returns those slices that the agent has, and the digests of the others, in the order of the digests. Only for an agent that speaks version 2. */
    fetchPresent(digests: readonly string[], options?: SliceOptions): AsyncGenerator<AnswerFrame>
  }
  readonly uploads: UploadClient & {
    /** Returns uploads in progress, newest first: for operators all, for others those of the token. */
    list(options?: PageOptions & { readonly state?: UploadState | undefined }): Promise<Page<Upload>>
    /** Deletes an upload and its bytes. */
    cancel(id: string, options?: CallOptions): Promise<void>
  }
  /** Returns the sums of a range and one page of its rows. */
  usage(query?: Loose<Pick<UsageQuery, 'from' | 'to' | 'owner'>> & PageOptions): Promise<Usage>
  sync(request: SyncRequest, options?: CallOptions): Promise<Task>
}

/**
 * Creates a client of one agent.
 *
 * @example
 * const agent = createAgentClient({ baseUrl: 'http://127.0.0.1:8420', token })
 * for await (const image of agent.images.all({ status: 'available' })) print(image.name)
 */
export function createAgentClient(peer: Peer): AgentClient {
  const calls = createCalls(peer)
  const { call, ask, get, post, patch } = calls
  return {
    baseUrl: peer.baseUrl,
    health: (options = {}) => ask(healthSchema, { path: ['health'], accept: [503], signal: options.signal }),
    evidence: async (options = {}) =>
      (await call({ path: ['evidence'], headers: { accept: EVIDENCE_MEDIA_TYPE }, signal: options.signal })).bytes(
        EVIDENCE_BYTES_MAX,
        peer.jsonAnswerMsMax ?? EVIDENCE_MS_MAX,
      ),
    store: {
      get: (options) => get(storeSchema, ['store'], options),
      identify: (options) => get(storeIdentitySchema, ['store'], options),
      patch: (change, options) => patch(storeSchema, ['store'], change, options),
      enable: (options) => post(storeSchema, ['store', 'enable'], options),
      disable: (reason = '', options) => post(storeSchema, ['store', 'disable'], options, { reason }),
      reconnect: (options) => post(storeSchema, ['store', 'reconnect'], options),
      cleanup: (dryRun = false, options) => post(taskSchema, ['store', 'cleanup'], options, { dryRun }),
      reconcile: (request = {}, options) => post(taskSchema, ['store', 'reconcile'], options, request),
    },
    images: imageCalls(peer, calls),
    hostKeys: {
      list: (options) => get(hostKeyPageSchema, ['host-keys'], options),
      all: (options = {}) => walk((cursor) => get(hostKeyPageSchema, ['host-keys'], { ...options, cursor })),
      forget: async (host, options = {}) => (await call({ method: 'DELETE', path: ['host-keys', host], signal: options.signal })).close(),
    },
    mediaGroups: {
      list: (options) => get(mediaGroupPageSchema, ['media-groups'], options),
      all: (options = {}) => walk((cursor) => get(mediaGroupPageSchema, ['media-groups'], { ...options, cursor })),
      create: (group, options) => post(mediaGroupSchema, ['media-groups'], options, group),
      patch: (name, change, options) => patch(mediaGroupSchema, ['media-groups', name], change, options),
      delete: async (name, options = {}) => (await call({ method: 'DELETE', path: ['media-groups', name], signal: options.signal })).close(),
    },
    exports: {
      list: (options) => get(exportPageSchema, ['exports'], options),
      all: (options = {}) => walk((cursor) => get(exportPageSchema, ['exports'], { ...options, cursor })),
      get: (id, options) => get(exportSchema, ['exports', id], options),
      delete: async (id, options = {}) => (await call({ method: 'DELETE', path: ['exports', id], signal: options.signal })).close(),
      content: (id, options = {}) => call(contentCall(['exports', id, 'content'], {}, options)),
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
      pause: (id, options) => post(taskSchema, ['tasks', id, 'pause'], options),
      resume: (id, options) => post(taskSchema, ['tasks', id, 'resume'], options),
    },
    schedules: {
      list: (options) => get(schedulePageSchema, ['schedules'], options),
      patch: (name, change, options) => patch(scheduleSchema, ['schedules', name], change, options),
      run: (name, options) => post(taskSchema, ['schedules', name, 'run'], options),
    },
    events: { list: (options) => get(eventPageSchema, ['events'], options), follow: (options) => followEvents(peer, options) },
    tokens: {
      list: (options) => get(tokenPageSchema, ['tokens'], options),
      create: (token, options) => post(createdTokenSchema, ['tokens'], options, token),
      rotate: (id, options) => post(createdTokenSchema, ['tokens', id, 'rotate'], options),
      delete: async (id, options = {}) => (await call({ method: 'DELETE', path: ['tokens', id], signal: options.signal })).close(),
    },
    syncGrants: { create: (grant, options) => post(createdSyncGrantSchema, ['sync', 'grants'], options, grant) },
    links: {
      create: (link, options) => post(linkSchema, ['links'], options, link),
      list: (options) => get(uploadLinkPageSchema, ['links'], options),
      get: (id, options) => get(uploadLinkSchema, ['links', id], options),
      revoke: async (id, options = {}) => (await call({ method: 'DELETE', path: ['links', id], signal: options.signal })).close(),
    },
    slices: sliceCalls(calls),
    uploads: {
      ...createUploadClient(call),
      list: (options) => get(uploadPageSchema, ['uploads'], options),
      cancel: async (id, options = {}) => (await call({ method: 'DELETE', path: ['uploads', id], headers: TUS, signal: options.signal })).close(),
    },
    usage: (query) => get(usageSchema, ['usage'], query),
    sync: (request, options) => post(taskSchema, ['sync'], options, request),
  }
}

type QueryOptions = CallOptions & Record<string, QueryValue | AbortSignal>

/** Requests to one agent, by method. */
interface Calls {
  call(request: Call): Promise<Answer>
  ask<Schema extends z.ZodType>(schema: Schema, request: Call): Promise<z.output<Schema>>
  /** Every option except the signal is a query member. */
  get<Schema extends z.ZodType>(schema: Schema, path: readonly string[], options?: QueryOptions): Promise<z.output<Schema>>
  post<Schema extends z.ZodType>(schema: Schema, path: readonly string[], options?: CallOptions, json?: unknown): Promise<z.output<Schema>>
  patch<Schema extends z.ZodType>(schema: Schema, path: readonly string[], json: unknown, options?: CallOptions): Promise<z.output<Schema>>
}

function createCalls(peer: Peer): Calls {
  const call: Calls['call'] = (request) => exchange(peer, { ...request, path: ['v1', ...request.path] })
  const ask: Calls['ask'] = async (schema, request) => (await call(request)).json(schema)
  return {
    call,
    ask,
    get(schema, path, options = {}) {
      const { signal, ...query } = options
      return ask(schema, { path, query: query as Record<string, QueryValue>, signal })
    },
    post: (schema, path, options = {}, json) => ask(schema, { method: 'POST', path, json, signal: options.signal }),
    patch: (schema, path, json, options = {}) => ask(schema, { method: 'PATCH', path, json, signal: options.signal }),
  }
}

function imageCalls(peer: Peer, { call, ask, get, post, patch }: Calls): AgentClient['images'] {
  const member = (method: 'PUT' | 'DELETE', path: readonly string[], options: CallOptions = {}, json?: unknown): Promise<Image> =>
    ask(imageSchema, { method, path: ['images', ...path], json, signal: options.signal })
  return {
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
    import: (request, options) => post(taskSchema, ['images'], options, request),
    planImport: (request, options) => post(importPlanSchema, ['images'], options, { ...request, dryRun: true }),
    uniqueSize: async (images, options) => (await post(uniqueSizeSchema, ['unique-size'], options, { images })).uniqueSize,
    bind: (id, instance, options) => member('PUT', [id, 'bindings', instance], options),
    unbind: (id, instance, options) => member('DELETE', [id, 'bindings', instance], options),
    grant: (id, subject, { set, ...options } = {}) => member('PUT', [id, 'grants', subject], options, set && { set }),
    revoke: (id, subject, options) => member('DELETE', [id, 'grants', subject], options),
    manifest: (id, options = {}) =>
      readManifest(peer, () => call({ path: ['images', id, 'manifest'], headers: { accept: MANIFEST_MEDIA_TYPE }, signal: options.signal })),
    content: (id, { as, ...options } = {}) => call(contentCall(['images', id, 'content'], { as }, options)),
    export: (id, order = {}, options = {}) => post(taskSchema, ['images', id, 'exports'], options, order),
    planExport: (id, order = {}, options = {}) => post(exportPlanSchema, ['images', id, 'exports'], options, { ...order, dryRun: true }),
  }
}

function sliceCalls({ call, post }: Calls): AgentClient['slices'] {
  const frames = async (json: unknown, { signal }: CallOptions): Promise<AsyncIterable<Uint8Array>> =>
    (await call({ method: 'POST', path: ['slices', 'fetch'], json, headers: { accept: SLICES_MEDIA_TYPE }, signal })).body()
  return {
    missing: async (digests, options) => (await post(missingSlicesSchema, ['slices', 'missing'], options, { digests })).missing,
    async *fetch(digests, options = {}) {
      yield* decodeFrames(await frames({ digests, image: options.image }, options), options.lengthMax)
    },
    async *fetchPresent(digests, options = {}) {
      yield* decodeAnswerFrames(await frames({ digests, image: options.image, absent: true }, options), options.lengthMax)
    },
  }
}

const imagePageSchema = pageSchema(imageSchema)
const hostKeyPageSchema = pageSchema(hostKeySchema)
const mediaGroupPageSchema = pageSchema(mediaGroupSchema)
const exportPageSchema = pageSchema(exportSchema)
const uploadPageSchema = pageSchema(uploadSchema)
const uploadLinkPageSchema = pageSchema(uploadLinkSchema)
const filePageSchema = pageSchema(fileSchema)
const taskPageSchema = pageSchema(taskSchema)
const schedulePageSchema = pageSchema(scheduleSchema)
const eventPageSchema = pageSchema(eventSchema)
const tokenPageSchema = pageSchema(tokenSchema)

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
