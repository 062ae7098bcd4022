// Files of the fake Slack: an address for the bytes, the bytes, and the conversation with which they are shared. Nobody sees a file before that.

import { isObject, textOf } from './shown.ts'
import type { Json } from './shown.ts'

export interface SharedFile {
  readonly id: string
  readonly title: string
  readonly altText: string
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly channel: string
  readonly comment: string
}

export interface FakeFiles {
  readonly shared: readonly SharedFile[]
  /** The methods of the Web API; each returns the members of its answer, or an error with its detail. */
  readonly methods: Readonly<Record<string, (body: Json) => Json | { readonly refused: [error: string, detail?: string] }>>
  /** Takes the bytes of a file at its address. */
  upload(id: string, request: Request): Promise<Response>
}

export interface FilesDeps {
  readonly address: (path: string) => string
  readonly scopes: readonly string[]
  readonly closedChannels: readonly string[]
}

/** Creates the files of one workspace. */
export function createFakeFiles({ address, scopes, closedChannels }: FilesDeps): FakeFiles {
  const waiting = new Map<string, { readonly length: number; readonly altText: string; bytes?: Uint8Array<ArrayBuffer> }>()
  const shared: SharedFile[] = []
  let counter = 0
  const scoped =
    (run: FakeFiles['methods'][string]): FakeFiles['methods'][string] =>
    (body) =>
      scopes.includes('files:write') ? run(body) : { ok: false, error: 'missing_scope', needed: 'files:write', provided: scopes.join(',') }
  return {
    shared,
    methods: {
      'files.getUploadURLExternal': scoped((body) => {
        const length = Number(body['length'])
        if (textOf(body['filename']) === '' || !Number.isSafeInteger(length) || length < 1)
          return { refused: ['invalid_arguments', 'filename and length are needed'] }
        const altText = textOf(body['alt_txt'])
        if (altText.length > 1000) return { refused: ['alt_txt_too_large'] }
        const id = `F${String(++counter).padStart(9, '0')}`
        waiting.set(id, { length, altText })
        return { ok: true, upload_url: address(`/upload/${id}`), file_id: id }
      }),
      'files.completeUploadExternal': scoped((body) => {
        const files: unknown = typeof body['files'] === 'string' ? JSON.parse(body['files']) : body['files']
        if (!Array.isArray(files) || files.length === 0) return { refused: ['invalid_arguments', 'files is needed'] }
        const channel = textOf(body['channel_id'])
        if (closedChannels.includes(channel)) return { ok: false, error: 'not_in_channel' }
        // Only a conversation has files; a person is not one.
        if (!/^[CDG]/.test(channel)) return { refused: ['channel_not_found', channel] }
        const found = files.map((file: unknown) => ({ id: isObject(file) ? textOf(file['id']) : '', title: isObject(file) ? textOf(file['title']) : '' }))
        const missing = found.find(({ id }) => !waiting.get(id)?.bytes)
        if (missing) return { refused: ['file_not_found', missing.id] }
        for (const { id, title } of found) {
          const { bytes, altText = '' } = waiting.get(id) ?? {}
          if (bytes) shared.push({ id, title, altText, bytes, channel, comment: textOf(body['initial_comment']) })
          waiting.delete(id)
        }
        return { ok: true, files: found }
      }),
    },
    async upload(id, request) {
      const file = waiting.get(id)
      const bytes = new Uint8Array(await request.arrayBuffer())
      if (request.method !== 'POST' || !file || file.bytes || bytes.length !== file.length)
        return new Response('no such upload, or another length', { status: 400 })
      file.bytes = bytes
      return new Response(`OK - ${bytes.length}`)
    },
  }
}
