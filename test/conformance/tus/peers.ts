// Other tus servers that the suite can start by itself, set up as their authors recommend; tusd grants https://console.example.

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

/** Peers by name; undefined where one cannot be had. */
export const PEERS: Readonly<Record<string, () => Promise<Peer | undefined>>> = {
  'tus-node': startTusNode,
  tusd: async () => {
    const program = await buildTusd((line) => console.error(line))
    return program === undefined ? undefined : startTusd(program, tmpdir(), ['-cors-allow-origin', '^https://console\\.example$'])
  },
}

/** @tus/server with its FileStore, uploads expiring after a day, any origin granted. */
async function startTusNode(): Promise<Peer> {
  const directory = await mkdtemp(join(tmpdir(), 'tus-node-'))
  const datastore = new FileStore({ directory, expirationPeriodInMilliseconds: 86_400_000 })
  const tus = new Server({ path: '/files', datastore })
  // Bun refuses bodies over 128 MiB by default; that would be Bun's answer and not the server's.
  const server = Bun.serve({ port: 0, hostname: '127.0.0.1', maxRequestBodySize: 2 ** 40, fetch: (request) => tus.handleWeb(request) })
  return {
    url: `http://127.0.0.1:${server.port}/files`,
    async [Symbol.asyncDispose]() {
      await server.stop(true)
      await rm(directory, { recursive: true, force: true })
    },
  }
}
