// Requests of an import to web servers: each new connection is checked, and credentials stay with the server they were given for.

import { problem } from '../../../protocol/problems.ts'
import type { ProblemError } from '../../../protocol/problems.ts'
import type { AddressGuard } from '../address-guard.ts'
import type { SourceCredentials } from '../source.ts'
import { openConnection } from './connection.ts'
import type { ConnectionOptions, HttpConnection } from './connection.ts'
import type { HttpResponse } from './response.ts'

/** Most redirects that are followed. */
export const REDIRECTS_MAX = 5
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])
/** Ports of web servers that need no entry in imports.allow. */
const WEB_PORTS: readonly number[] = [80, 443]

export interface HttpRequestsOptions extends ConnectionOptions {
  readonly guard: AddressGuard
}

/** The requests of one import. */
export interface HttpRequests {
  /** Connects to the server of a URL after every check of its address. Throws ProblemError `source-not-allowed`, or SourceInterrupted. */
  connect(url: URL): Promise<HttpConnection>
  /** Returns the headers of a request to a URL, with the credentials if they are for its server. */
  headers(url: URL, more: Readonly<Record<string, string>>): Readonly<Record<string, string>>
}

/** Creates the requests of an import that begins at a URL. The signal ends their connections. */
export function createHttpRequests(options: HttpRequestsOptions, start: URL, credentials: SourceCredentials, signal: AbortSignal): HttpRequests {
  const authorization = authorizationOf(credentials)
  return {
    connect: async (url) => openConnection(url, await checkServer(options.guard, url), options, signal),
    headers: (url, more) => (authorization !== undefined && url.origin === start.origin ? { Authorization: authorization, ...more } : more),
  }
}

/** Returns the addresses of the server of a URL. Throws as the guard does. */
export function checkServer(guard: AddressGuard, url: URL): Promise<readonly string[]> {
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80))
  return guard.resolve({ host: url.hostname, port, standardPorts: WEB_PORTS })
}

/** Returns where a redirect leads; undefined for another answer. Throws ProblemError for a redirect that is not followed. */
export function redirectOf({ status, headers }: Pick<HttpResponse, 'status' | 'headers'>, url: URL): URL | undefined {
  if (!REDIRECTS.has(status)) return undefined
  const next = URL.parse(headers.get('location') ?? '', url.href)
  if (!next || !headers.has('location')) throw refusedRedirect('has no valid Location')
  if (next.protocol !== 'https:' && next.protocol !== 'http:') throw refusedRedirect('leads to another scheme than http and https')
  if (url.protocol === 'https:' && next.protocol === 'http:') throw refusedRedirect('leads from https to http')
  if (next.username !== '' || next.password !== '') throw refusedRedirect('leads to an address with a user name')
  next.hash = ''
  return next
}

/** Returns the refusal of a source that redirects too often. */
export function refuseTooManyRedirects(): ProblemError {
  return problem('source-refused', `The source redirects more than ${REDIRECTS_MAX} times.`)
}

function refusedRedirect(reason: string): ProblemError {
  return problem('source-refused', `A redirect of the source ${reason}.`, { action: 'Import from the address where the file really is.' })
}

/** Returns the value of Authorization: a bearer token (RFC 6750), else a user name and password (RFC 7617). */
function authorizationOf({ username, password, token }: SourceCredentials): string | undefined {
  if (token !== undefined) return `Bearer ${token}`
  if (username === undefined && password === undefined) return undefined
  return `Basic ${Buffer.from(`${username ?? ''}:${password ?? ''}`, 'utf8').toString('base64')}`
}
