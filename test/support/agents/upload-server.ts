// Uploads over a real socket: the routes of tus in the agent's application, with a real folder and with slices in memory.

import { createApp } from '../../../agent/http/app.ts'
import { uploadRoutes } from '../../../agent/http/routes/uploads/uploads.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { readSendQueues } from '../../../agent/system/send-queues.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { openServer } from '../../../agent/server/server.ts'
import { createSpace } from '../../../agent/system/space.ts'
import { openUploads } from '../../../agent/uploads/uploads.ts'
import type { Uploads } from '../../../agent/uploads/uploads.ts'
import type { UploadsDeps } from '../../../agent/uploads/context.ts'
import type { Actor, Authenticator } from '../../../agent/contract/access.ts'
import type { NewEvent } from '../../../agent/contract/work.ts'
import type { ManifestEntry } from '../../../protocol/slices/manifest.ts'
import { createMemoryLog } from '../memory/memory-log.ts'
import type { MemoryLog } from '../memory/memory-log.ts'
import { createMemoryPublisher } from '../memory/memory-publisher.ts'
import type { MemoryPublisher } from '../memory/memory-publisher.ts'
import { createMemorySlices, MEMORY_CUTTER } from '../memory/memory-slices.ts'
import type { MemorySlices } from '../memory/memory-slices.ts'
import { createMemoryVisibility } from '../memory/memory-visibility.ts'
import { createTemporaryFolder } from '../machine/temporary-folder.ts'

/** Tokens of the server and their actors. */
export const TOKENS: Readonly<Record<string, Actor>> = {
  'admin-secret': { name: 'root', role: 'admin', tokenId: 'tok_1' },
  'ann-secret': { name: 'ann', role: 'uploader', tokenId: 'tok_2' },
  'bob-secret': { name: 'bob', role: 'uploader', tokenId: 'tok_3' },
  /** Another token with the same name. */
  'other-ann-secret': { name: 'ann', role: 'uploader', tokenId: 'tok_5' },
  'viewer-secret': { name: 'vic', role: 'viewer', tokenId: 'tok_4' },
}

export interface UploadServer extends AsyncDisposable {
  /** `http://127.0.0.1:…/v1/uploads`. */
  readonly endpoint: string
  readonly port: number
  readonly uploads: Uploads
  readonly slices: MemorySlices
  readonly publisher: MemoryPublisher
  /** Ids of images that no actor may read; the test fills it. */
  readonly hidden: Set<string>
  readonly log: MemoryLog
  readonly events: readonly NewEvent[]
  readonly folder: string
  /** Opens the uploads again on the same folder, as after a crash; deps replace the earlier ones. */
  restart(deps?: Partial<UploadsDeps>): Promise<void>
  /** Sends a request with the admin's token and Tus-Resumable; `null` removes a header. */
  ask(method: string, path: string, headers?: Record<string, string | null>, body?: Uint8Array<ArrayBuffer> | ReadableStream | string): Promise<Response>
  /** Returns the content of the image that an upload became. */
  content(imageId: string): Uint8Array
}

/** Starts a server; deps given here replace the defaults. */
export async function startUploadServer(deps: Partial<UploadsDeps> = {}, origins: readonly string[] = []): Promise<UploadServer> {
  const temporary = await createTemporaryFolder()
  const slices = createMemorySlices()
  const publisher = createMemoryPublisher()
  const log = createMemoryLog()
  const hidden = new Set<string>()
  const events: NewEvent[] = []
  const disk = createDisk()
  const clock = deps.clock ?? systemClock
  const folder = temporary.file('uploads')
  const links = new Map<string, string>()
  const all: UploadsDeps = {
    disk,
    clock,
    log,
    slices,
    cutter: MEMORY_CUTTER,
    publisher,
    space: createSpace({ disk, clock, mount: temporary.path, reservedBytes: () => 0 }),
    folder,
    expiryMs: 86_400_000,
    maxLength: 1e12,
    concurrency: 1,
    visibility: createMemoryVisibility(publisher, hidden),
    gate: { requireEnabled() {} },
    links: {
      async claim(link, { id }) {
        if ((links.get(link.id) ?? id) !== id) return false
        links.set(link.id, id)
        return true
      },
      release(linkId, id) {
        if (links.get(linkId) === id) links.delete(linkId)
      },
      settle() {},
    },
    emit: (event) => void events.push(event),
    crashPoint() {},
    random: (length) => crypto.getRandomValues(new Uint8Array(length)),
    ...deps,
  }
  const authenticator: Authenticator = {
    byToken: async (secret) => TOKENS[secret],
    byLink: async (link) => ({
      kind: 'allowed',
      actor: {
        name: 'ann',
        role: 'uploader',
        link: { id: link, makerTokenId: 'tok_2', maker: { role: 'uploader' }, kind: 'upload', endMs: 1e15, maxLength: 1000 },
      },
    }),
  }
  let uploads = await openUploads(all)
  const noLinks = {
    own() {
      throw new Error('this server keeps no links')
    },
  }
  const makeApp = () =>
    createApp({
      routes: uploadRoutes({ uploads, images: publisher, clock: systemClock, links: noLinks, storeName: () => 'edge-a' }),
      authenticator,
      log,
      clock: systemClock,
      origins,
    })
  let app = makeApp()
  const server = await openServer({
    host: '127.0.0.1',
    port: 0,
    clock: systemClock,
    log,
    sendQueues: readSendQueues,
    application: (request, connection) => app.fetch(request, { connection }),
  })
  const endpoint = `http://127.0.0.1:${server.port}/v1/uploads`
  return {
    endpoint,
    port: server.port,
    get uploads() {
      return uploads
    },
    slices,
    publisher,
    hidden,
    log,
    events,
    folder,
    async restart(more = {}) {
      uploads = await openUploads({ ...all, ...more })
      app = makeApp()
    },
    ask(method, path, headers = {}, body) {
      const sent: Record<string, string> = {}
      for (const [name, value] of Object.entries({ Authorization: 'Bearer admin-secret', 'Tus-Resumable': '1.0.0', ...headers })) {
        if (value !== null) sent[name] = value
      }
      return fetch(new URL(path, endpoint), { method, headers: sent, ...(body === undefined ? {} : { body }) })
    },
    content: (imageId) => slices.read(publisher.images.get(imageId)?.entries ?? missing(imageId)),
    async [Symbol.asyncDispose]() {
      await uploads.stop()
      await server[Symbol.asyncDispose]()
      await temporary[Symbol.asyncDispose]()
    },
  }
}

function missing(imageId: string): ManifestEntry[] {
  throw new Error(`there is no image ${imageId}`)
}
