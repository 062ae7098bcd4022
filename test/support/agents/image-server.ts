// The routes of images on a real server with a port of its own, for tests of content, slices and sync.

import type { Actor, Authenticator } from '../../../agent/contract/access.ts'
import { createConverter } from '../../../agent/convert/converter.ts'
import { createApp } from '../../../agent/http/app.ts'
import { route } from '../../../agent/http/route.ts'
import type { Route } from '../../../agent/http/route.ts'
import { contentRoutes } from '../../../agent/http/routes/content.ts'
import { imageRoutes } from '../../../agent/http/routes/images.ts'
import { sliceRoutes } from '../../../agent/http/routes/slices.ts'
import { uniqueSizeRoutes } from '../../../agent/http/routes/unique-size.ts'
import { createTransferGate } from '../../../agent/http/content/transfer-gate.ts'
import { openServer } from '../../../agent/server/server.ts'
import { readSendQueues } from '../../../agent/system/send-queues.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { createAgentClient } from '../../../protocol/client/client.ts'
import type { AgentClient } from '../../../protocol/client/agent-client.ts'
import type { Role } from '../../../protocol/access.ts'
import { storeSchema } from '../../../protocol/store.ts'
import type { Store } from '../../../protocol/store.ts'
import type { ImageStore } from '../images/image-store.ts'

/** Default UUID of a store on a server. */
export const STORE_ID = '0a7b4f5e-30c8-4b6f-9a3a-7d1f2d7c9b11'

export interface ImageServer extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** Client with the token of an admin. */
  readonly client: AgentClient
  /** Responds to every request with this status from now on; undefined ends that. */
  answerWith(status: number | undefined): void
}

/** Tokens are the names of roles. */
const authenticator: Authenticator = {
  byToken: async (secret): Promise<Actor | undefined> =>
    ['viewer', 'uploader', 'operator', 'admin'].includes(secret) ? { name: secret, role: secret as Role } : undefined,
  byLink: async () => ({ kind: 'refused', detail: 'There are no links here.' }),
}

export async function serveImages(
  store: ImageStore,
  options: { readonly routes?: readonly Route[]; readonly downloads?: number; readonly storeId?: string } = {},
): Promise<ImageServer> {
  const { catalogue, slices, visibility, log } = store
  const downloads = createTransferGate({ clock: systemClock, limit: options.downloads ?? 1 })
  const routes = [
    ...imageRoutes({ images: catalogue, mountFault: async () => undefined, cancelUpload: async () => false }),
    ...uniqueSizeRoutes({ images: catalogue }),
    ...contentRoutes({ images: catalogue, slices, converter: createConverter({ slices, clock: systemClock }), downloads }),
    ...sliceRoutes({ slices, visibility, ownSlices: async () => ({ has: () => false }), downloads, clock: systemClock }),
    route({
      method: 'GET',
      path: '/v1/store',
      access: 'viewer',
      summary: 'Shows the store',
      answers: { 200: { description: 'The store', schema: storeSchema } },
      run: () => Response.json(describe(store, options.storeId ?? STORE_ID)),
    }),
    ...(options.routes ?? []),
  ]
  const app = createApp({ routes, authenticator, log, clock: systemClock })
  let status: number | undefined
  const server = await openServer({
    host: '127.0.0.1',
    port: 0,
    clock: systemClock,
    log,
    sendQueues: readSendQueues,
    application: (request, connection) => (status === undefined ? app.fetch(request, { connection }) : new Response('no', { status })),
  })
  const url = `http://127.0.0.1:${server.port}`
  return {
    url,
    port: server.port,
    client: createAgentClient({ baseUrl: url, token: 'admin' }),
    answerWith: (next) => void (status = next),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

function describe({ catalogue, mount, slices }: ImageStore, id: string): Store {
  const { imageBytes, damaged: _damaged, ...images } = catalogue.counts()
  const { slices: count, storedBytes } = slices.stats()
  return {
    id,
    name: 'test',
    description: '',
    mount,
    zone: 'zone-1',
    scope: 'zone',
    enabled: true,
    disabledReason: null,
    version: '0',
    protocol: { sync: [1, 2] },
    capacity: { total: 0, used: 0, free: 0, reserved: 0, available: 0 },
    slices: { count, storedBytes, imageBytes, savingRatio: storedBytes === 0 ? null : imageBytes / storedBytes },
    images,
    uploads: { active: 0 },
    transfer: { uploadConcurrency: 1, downloadConcurrency: 1 },
    retention: { deletion: 'delayed', seconds: 1 },
  }
}
