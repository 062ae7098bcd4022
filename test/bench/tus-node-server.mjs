// @tus/server with its FileStore in a folder, on the runtime that runs this file (Bun or Node), as its authors recommend.
// Prints the address when it serves.

import { createServer } from 'node:http'
import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'

const [, , directory] = process.argv
const tus = new Server({ path: '/files', datastore: new FileStore({ directory }) })
const tell = (port) => process.stdout.write(`http://127.0.0.1:${port}/files\n`)

if (typeof Bun === 'undefined') {
  const server = createServer((request, response) => void tus.handle(request, response))
  server.requestTimeout = 0
  server.listen(0, '127.0.0.1', () => tell(server.address().port))
} else {
  // Bun refuses bodies over 128 MiB and ends slow ones by default; that would be Bun's doing and not the server's.
  const server = Bun.serve({ port: 0, hostname: '127.0.0.1', maxRequestBodySize: 2 ** 40, idleTimeout: 0, fetch: (request) => tus.handleWeb(request) })
  tell(server.port)
}
