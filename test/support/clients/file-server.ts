// A web server of one file, which behaves as a test tells it: with ranges or without, cutting, slow, changing, lying.

import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'

export interface FileServer extends AsyncDisposable {
  /** `http://127.0.0.1:…/file.img`. */
  readonly url: string
  readonly port: number
  bytes: Uint8Array
  /** Null sends none. */
  etag: string | null
  lastModified: string | null
  hasRanges: boolean
  /** The next answers end their connection after this many bytes of the body, one entry for each answer with more than one byte. */
  cuts: number[]
  /** Sent in addition to the usual headers. */
  headers: Record<string, string>
  /** Answers instead of the file when it returns true. */
  intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined
  /** `Range` of each request; `''` without one. */
  readonly ranges: string[]
  readonly requests: IncomingMessage[]
  /** Port of the client of each request. */
  readonly clientPorts: (number | undefined)[]
}

/** Starts a server on loopback. */
export async function startFileServer(bytes: Uint8Array): Promise<FileServer> {
  const ranges: string[] = []
  const requests: IncomingMessage[] = []
  const clientPorts: (number | undefined)[] = []
  const server = createServer((request, response) => {
    requests.push(request)
    clientPorts.push(request.socket.remotePort)
    if (file.intercept?.(request, response)) return
    send(request, response)
  })

  const send = (request: IncomingMessage, response: ServerResponse): void => {
    const headers: Record<string, string> = {
      ...(file.etag === null ? {} : { ETag: file.etag }),
      ...(file.lastModified === null ? {} : { 'Last-Modified': file.lastModified }),
    }
    const range = request.headers.range ?? ''
    ranges.push(range)
    const match = /^bytes=(\d+)-(\d*)$/.exec(range)
    const condition = request.headers['if-range']
    const isSame = condition === undefined || condition === file.etag || condition === file.lastModified
    const isPart = match !== null && file.hasRanges && isSame
    const start = isPart ? Number(match[1]) : 0
    const end = isPart && match[2] !== '' ? Math.min(Number(match[2]) + 1, file.bytes.byteLength) : file.bytes.byteLength
    if (isPart && start >= file.bytes.byteLength) {
      response.writeHead(416, { 'Content-Range': `bytes */${file.bytes.byteLength}` }).end()
      return
    }
    if (isPart) headers['Content-Range'] = `bytes ${start}-${end - 1}/${file.bytes.byteLength}`
    response.writeHead(isPart ? 206 : 200, { ...headers, 'Content-Length': String(end - start), ...file.headers })
    const cut = end - start > 1 ? file.cuts.shift() : undefined
    if (cut === undefined) response.end(file.bytes.subarray(start, end))
    else response.write(file.bytes.subarray(start, start + cut), () => setTimeout(() => response.destroy(), 20))
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const file: FileServer = {
    url: `http://127.0.0.1:${port}/file.img`,
    port,
    bytes,
    etag: '"v1"',
    lastModified: null,
    hasRanges: true,
    cuts: [],
    headers: {},
    intercept: undefined,
    ranges,
    requests,
    clientPorts,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return file
}
