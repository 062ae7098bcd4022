// Takes the URL of a file server apart: host, port and path. Pure, except for the look-up of the host's addresses.

import { problem } from '../../protocol/problems.ts'
import type { AddressGuard } from './address-guard.ts'
import type { ImportLocation } from './source.ts'

/** Longest path on the server, in bytes: PATH_MAX of Linux. */
const PATH_BYTES_MAX = 4096

export interface RemoteTarget {
  readonly addresses: readonly string[]
  /** `hostname:port`, with brackets around an IPv6 address. */
  readonly host: string
  readonly hostname: string
  readonly port: number
  /** The decoded path without the slash that separates it from the host. */
  readonly path: string
  readonly isTls: boolean
}

/** Returns what a URL names, and the addresses to connect to. Throws ProblemError `invalid-input` or `source-not-allowed`. */
export async function remoteTarget(location: ImportLocation, defaultPort: number, guard: AddressGuard): Promise<RemoteTarget> {
  const url = location.kind === 'url' ? URL.parse(location.url) : null
  if (!url) throw problem('invalid-input', 'The source is not a URL.')
  // Only hosts of http and ftp are normalized (WHATWG URL, "special"): sftp://2130706433/ would keep its number.
  const hostname = URL.parse(`http://${url.hostname}/`)?.hostname ?? ''
  if (hostname === '') throw problem('invalid-input', 'The URL names no host.')
  const port = url.port === '' ? defaultPort : Number(url.port)
  const path = decodePath(url.pathname.slice(1))
  if (url.search !== '') throw problem('invalid-input', `A URL of ${url.protocol.slice(0, -1)} has no query. Write "?" in a path as %3F.`)
  const addresses = await guard.resolve({ host: hostname, port, standardPorts: [defaultPort] })
  return { addresses, host: `${hostname}:${port}`, hostname, port, path, isTls: url.protocol === 'ftps:' }
}

/** Decodes a path. Line ends would end a command of FTP; other control characters have no place in a path either. */
function decodePath(text: string): string {
  let path: string
  try {
    path = decodeURIComponent(text)
  } catch (error) {
    throw problem('invalid-input', 'The path of the URL is not valid: write "%" as %25.', {}, { cause: error })
  }
  if (path === '' || path.endsWith('/')) throw problem('invalid-input', 'The URL names a folder. Name a file.')
  if (/[\u0000-\u001f\u007f]/.test(path)) throw problem('invalid-input', 'The path of the URL contains control characters.')
  if (new TextEncoder().encode(path).byteLength > PATH_BYTES_MAX) throw problem('invalid-input', `The path of the URL is longer than ${PATH_BYTES_MAX} bytes.`)
  return path
}
