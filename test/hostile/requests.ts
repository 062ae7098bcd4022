// Requests of attackers: uploads, and raw bytes on a connection.

import { createConnection } from 'node:net'
import type { Socket } from 'node:net'
import type { Attacker } from './attack.ts'

const TUS = { 'tus-resumable': '1.0.0' }

/** Creates an upload and returns its status and address. */
export async function createUpload(
  { url, headers }: Attacker,
  more: Readonly<Record<string, string>>,
): Promise<{ readonly status: number; readonly address: string; readonly code: string }> {
  const response = await fetch(`${url}/v1/uploads`, { method: 'POST', headers: headers('uploader', { ...TUS, ...more }) })
  const text = await response.text()
  return {
    status: response.status,
    address: new URL(response.headers.get('location') ?? '/', url).href,
    code: /urn:slipway:problem:([\w-]+)/.exec(text)?.[1] ?? '',
  }
}

/** Sends one PATCH. Returns status 0 when the connection was closed while the body was being sent, which a refusal may do. */
export async function patchUpload(
  { headers }: Attacker,
  address: string,
  offset: number,
  body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>>,
  more: Readonly<Record<string, string>> = {},
): Promise<number> {
  try {
    const response = await fetch(address, {
      method: 'PATCH',
      headers: headers('uploader', { ...TUS, 'upload-offset': String(offset), 'content-type': 'application/offset+octet-stream', ...more }),
      body,
    })
    await response.arrayBuffer()
    return response.status
  } catch {
    return 0
  }
}

/** Removes an upload, so that the attackers may create another one. */
export async function removeUpload({ headers }: Attacker, address: string): Promise<void> {
  await (await fetch(address, { method: 'DELETE', headers: headers('uploader', TUS) })).arrayBuffer()
}

/** A connection to the agent that counts what it receives. */
export interface RawConnection extends Disposable {
  readonly socket: Socket
  readonly received: () => number
  readonly isClosed: () => boolean
  /** Sends bytes; resolves when the operating system has accepted them, or the connection is closed. */
  write(bytes: string | Uint8Array): Promise<void>
}

/** Connects. With `isReading` false nothing is ever read from the socket. */
export async function connectRaw(url: string, isReading = true): Promise<RawConnection> {
  const { hostname, port } = new URL(url)
  const socket = createConnection({ host: hostname, port: Number(port) })
  let received = 0
  let isClosed = false
  socket.on('error', () => {})
  socket.on('close', () => (isClosed = true))
  if (isReading) socket.on('data', (piece) => (received += piece.length))
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  return {
    socket,
    received: () => received,
    isClosed: () => isClosed,
    write: (bytes) => new Promise((resolve) => (socket.destroyed ? resolve() : void socket.write(bytes, () => resolve()))),
    [Symbol.dispose]: () => socket.destroy(),
  }
}

/** Returns the head of a request as it is sent. */
export function requestHead(line: string, headers: Readonly<Record<string, string>>): string {
  return `${line} HTTP/1.1\r\nHost: x\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`
}
