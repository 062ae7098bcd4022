// Other tus servers that the suite can start, configured as their authors recommend. tusd allows pages of https://console.example.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'
import { buildTusd, startTusd } from '../../support/clients/tusd.ts'

/** A server that runs until disposed. */
export interface Peer extends AsyncDisposable {
  readonly url: string
}

/** Starts a peer, by name; undefined when its program is not available. */
export const PEERS: Readonly<Record<string, () => Promise<Peer | undefined>>> = {
  'tus-node': startTusNode,
  tusd: async () => {
    const program = await buildTusd((line) => console.error(line))
    return program === undefined ? undefined : startTusd(program, tmpdir(), ['-cors-allow-origin', '^https://console\\.example$'])
  },
}

/** Starts @tus/server with its FileStore; uploads expire after a day, and any origin is allowed. */
async function startTusNode(): Promise<Peer> {
  const directory = await mkdtemp(join(tmpdir(), 'tus-node-'))
  const datastore = new FileStore({ directory, expirationPeriodInMilliseconds: 86_400_000 })
  const tus = new Server({ path: '/files', datastore })
  // Raises Bun's default limit of 128 MiB, so that the library itself answers longer bodies.
  const server = Bun.serve({ port: 0, hostname: '127.0.0.1', maxRequestBodySize: 2 ** 40, fetch: (request) => tus.handleWeb(request) })
  return {
    url: `http://127.0.0.1:${server.port}/files`,
    async [Symbol.asyncDispose]() {
      await server.stop(true)
      await rm(directory, { recursive: true, force: true })
    },
  }
}
