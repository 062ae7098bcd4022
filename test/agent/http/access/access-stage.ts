// A real store behind the real table of routes, with images and users, for tests of the rights on images.

import type { Image } from '../../../../protocol/images/image.ts'
import type { NewToken } from '../../../../protocol/access.ts'
import { seededBytes } from '../../../support/images/image-store.ts'
import { openRouteTable } from '../route-table.ts'
import type { RouteTable } from '../route-table.ts'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The JSON body; undefined when the body is not JSON. */
  readonly json: unknown
  /** Code of the problem; empty when the answer is not a problem. */
  readonly code: string
}

/** Somebody who sends requests. */
export interface User {
  /** Id of the token; empty for somebody without one. */
  readonly tokenId: string
  ask(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  /** Opens a stream of events. */
  stream(path: string): Promise<ReadableStream<Uint8Array<ArrayBuffer>>>
}

export interface AccessStage extends AsyncDisposable {
  readonly table: RouteTable
  readonly admin: User
  /** Creates a token and returns its user. */
  user(token: NewToken): Promise<User>
  /** Returns the user of a secret that something else created. */
  userOf(secret: string): User
  /** Has no token, but may have a link. */
  readonly nobody: User
  /** Uploads an image as a user and waits until it is available. */
  upload(
    user: User,
    name: string,
    options?: { readonly seed?: number; readonly metadata?: Readonly<Record<string, string>>; readonly url?: string },
  ): Promise<Image>
}

/** Opens a store without images. `config` is added to its configuration, as TOML. */
export async function openAccessStage(config = ''): Promise<AccessStage> {
  const table = await openRouteTable(config)
  const { tokens } = table.parts.access
  const request = async (method: string, path: string, body: unknown, headers: Record<string, string>): Promise<Answer> => {
    const isBytes = body instanceof Uint8Array
    const init = body === undefined ? {} : { body: isBytes ? new Uint8Array(body) : JSON.stringify(body) }
    const response = await table.app.request(path, { method, headers, ...init })
    const text = await response.text()
    const json = parse(text)
    return { status: response.status, headers: response.headers, text, json, code: /"type":"urn:slipway:problem:([\w-]+)"/.exec(text)?.[1] ?? '' }
  }
  const userWith = (credential: Record<string, string>, tokenId = ''): User => ({
    tokenId,
    ask: (method, path, body, headers = {}) => request(method, path, body, { ...credential, ...headers }),
    async stream(path) {
      const { body } = await table.app.request(path, { headers: { ...credential, accept: 'text/event-stream' } })
      if (!body) throw new Error('the stream has no body')
      return body
    },
  })
  const user = async (order: NewToken): Promise<User> => {
    const { id, token } = await tokens.create(order, { name: 'test', role: 'admin' })
    return userWith({ authorization: `Bearer ${token}` }, id)
  }
  return {
    table,
    admin: await user({ name: 'the admin', role: 'admin' }),
    user,
    userOf: (secret) => userWith({ authorization: `Bearer ${secret}` }),
    nobody: userWith({}),
    async upload(uploader, name, { seed = 1, metadata = {}, url = '/v1/uploads' } = {}) {
      const bytes = seededBytes(200_000, seed)
      const members = Object.entries({ name, ...metadata }).map(([key, value]) => `${key} ${btoa(value)}`)
      const headers = { 'tus-resumable': '1.0.0', 'upload-length': String(bytes.byteLength), 'upload-metadata': members.join(',') }
      const created = await uploader.ask('POST', url, bytes, { ...headers, 'content-type': 'application/offset+octet-stream' })
      const id = created.headers.get('content-location')?.split('/').at(-1) ?? ''
      await table.parts.catalogue.settled()
      const image = table.parts.catalogue.find(id)
      if (!image) throw new Error(`the upload of ${name} failed: ${created.status} ${created.text}`)
      return image
    },
    [Symbol.asyncDispose]: () => table[Symbol.asyncDispose](),
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
