// Typed client of an agent. Answers are parsed with the zod schemas that the agent validates with. Used by the bot, by the console, and between agents.
// Web APIs only.

import type { z } from 'zod'
import { createdTokenSchema, linkSchema, tokenSchema } from '../access.ts'
import { eventSchema } from '../event.ts'
import { EVIDENCE_BYTES_MAX, EVIDENCE_MEDIA_TYPE } from '../evidence.ts'
import { exportPlanSchema, exportSchema } from '../images/export.ts'
import { followEvents } from './event-stream.ts'
import { exchange } from './exchange.ts'
import type { Answer, Call, Peer, QueryValue } from './exchange.ts'
import { fileSchema } from '../file.ts'
import { decodeAnswerFrames, decodeFrames, SLICES_MEDIA_TYPE } from '../slices/frames.ts'
import { healthSchema } from '../health.ts'
import { imageSchema, uniqueSizeSchema } from '../images/image.ts'
import type { Image } from '../images/image.ts'
import { importPlanSchema } from '../images/imports.ts'
import { MANIFEST_MEDIA_TYPE } from '../slices/manifest.ts'
import { readManifest } from './manifest-client.ts'
import { mediaGroupSchema } from '../images/media-group.ts'
import { hostKeySchema } from '../images/host-key.ts'
import { pageSchema } from '../page.ts'
import { scheduleSchema } from '../schedule.ts'
import { storeIdentitySchema, storeSchema } from '../store.ts'
import { missingSlicesSchema } from '../sync/sync.ts'
import { createdSyncGrantSchema } from '../sync/sync-grant.ts'
import { taskSchema } from '../task.ts'
import { usageSchema } from '../images/usage.ts'
import { uploadSchema } from '../upload.ts'
import { uploadLinkSchema } from '../upload-link.ts'
import { createUploadClient, TUS } from './upload-client.ts'
import { walk } from './walk-pages.ts'
import type { AgentClient, CallOptions, ContentOptions } from './agent-client.ts'

/** Longest time for a complete archive of evidence, in milliseconds. */
const EVIDENCE_MS_MAX = 60_000

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
