// What an upload link says at each stage of its upload: the whole text for a person, and the members for a page.

import { expect, test } from 'bun:test'
import type { Actor, LinkRight } from '../../../../../agent/contract/access.ts'
import { answerLink } from '../../../../../agent/http/routes/uploads/link-status.ts'
import type { LinkStatusDeps } from '../../../../../agent/http/routes/uploads/link-status.ts'
import { problem } from '../../../../../protocol/problems.ts'
import type { LinkStatus } from '../../../../../protocol/upload-link.ts'

const URL_OF_LINK = 'http://edge-a:8420/v1/uploads?link=secret'
const EXPIRES = '2026-01-02T00:00:00.000Z'

interface Stage {
  readonly state: LinkStatus['state']
  readonly name?: string
  readonly format?: 'qcow2'
  /** What the upload in progress says, or why it cannot be described. */
  readonly upload?: { readonly offset: number; readonly length: number | null; readonly expiresAt: string | null } | Error
  readonly image?: { readonly status: 'available' | 'error'; readonly statusReason: string | null }
  /** The limit of the link in bytes. */
  readonly maxLength?: number
}

async function ask(stage: Stage, headers: Record<string, string> = {}): Promise<Response> {
  const { state, name = null, format = null, upload, image, maxLength } = stage
  const deps = {
    uploads: {
      maxLength: 5_000_000_000,
      inProgress: {
        async describe() {
          if (upload instanceof Error) throw upload
          return upload
        },
      },
    },
    images: { find: (id: string) => image && { id, ...image } },
    links: { own: () => ({ state, name, draft: { format }, expiresAt: EXPIRES, uploadId: 'upl_1', imageId: 'img_1' }) },
    storeName: () => 'edge-a',
  } as unknown as LinkStatusDeps
  const actor = { link: { maxLength } } as unknown as Actor
  const request = new Request(URL_OF_LINK, { headers })
  return answerLink(deps, { request, actor, url: new URL(URL_OF_LINK) } as Parameters<typeof answerLink>[1], {} as LinkRight)
}

const textOf = async (stage: Stage): Promise<string[]> => (await (await ask(stage)).text()).split('\n\n')

test('a link that was not used says to whom it uploads, how much and until when, and how', async () => {
  const [title, facts, warning, ...lines] = await textOf({ state: 'open', maxLength: 2_000_000_000 })
  expect([title, facts, warning]).toEqual([
    'Upload of an image to edge-a',
    [
      'Store:         edge-a',
      'Image:         named like the file',
      'Format:        raw, qcow2, vmdk or iso',
      'Largest file:  2.0 GB',
      `Begin before:  ${EXPIRES}`,
    ].join('\n'),
    'This link uploads one file. Whoever has it can use it, so keep it secret.',
  ])
  expect(lines.join('\n')).toContain(URL_OF_LINK)
  expect(lines.join('\n')).toContain('Upload-Metadata: filename')
  const named = await textOf({ state: 'open', name: 'disk', format: 'qcow2' })
  expect([named[0], named[1]?.split('\n').slice(1, 4)]).toEqual([
    'Upload of disk to edge-a',
    ['Image:         disk', 'Format:        qcow2', 'Largest file:  5.0 GB'],
  ])
  expect(named.join('\n')).not.toContain('Upload-Metadata: filename')
})

test.each([
  [{ offset: 1000, length: 4000, expiresAt: EXPIRES }, `Arrived:       1.0 kB of 4.0 kB. It expires at ${EXPIRES} if nothing more arrives.`],
  [{ offset: 0, length: null, expiresAt: null }, 'Arrived:       0 B.'],
])('an upload in progress %p says how much arrived, and how it continues', async (upload, arrived) => {
  const [, facts, how, ...lines] = await textOf({ state: 'used', name: 'disk', upload })
  expect([facts?.split('\n').at(-1), how]).toEqual([arrived, 'The upload has begun. To continue it with the same file, from where it stopped:'])
  expect(lines.join('\n')).toContain('http://edge-a:8420/v1/uploads/upl_1?link=secret')
})

test('an upload that ended a moment ago is being finished', async () => {
  const [, facts, text, ...others] = await textOf({ state: 'used', upload: problem('not-found', 'There is no upload.') })
  expect([facts?.split('\n').at(-1), text, others]).toEqual(['Largest file:  5.0 GB', 'The upload is being finished. Open the link again in a moment.\n', []])
  expect(ask({ state: 'used', upload: new Error('a defect') })).rejects.toThrow('a defect')
})

test.each([
  [{ status: 'available' as const, statusReason: null }, 'All bytes have arrived. The image img_1 has the status available.\n'],
  [{ status: 'error' as const, statusReason: 'It is no qcow2.' }, 'All bytes have arrived. The image img_1 has the status error.\nIt is no qcow2.\n'],
  [undefined, 'The upload became an image, which was deleted since.\n'],
])('a completed upload says what it became: %p', async (image, text) => {
  expect(await textOf({ state: 'completed', name: 'disk', ...(image && { image }) })).toEqual(['Upload of disk to edge-a', text])
})

test('a page gets members, and no cache keeps the answer', async () => {
  const answer = await ask({ state: 'used', upload: { offset: 7, length: null, expiresAt: null } }, { accept: 'text/html, application/json' })
  expect([answer.headers.get('cache-control'), answer.headers.get('vary')]).toEqual(['no-store', 'Accept'])
  expect(await answer.json()).toEqual({
    state: 'used',
    store: 'edge-a',
    name: null,
    format: null,
    maxLength: 5_000_000_000,
    expiresAt: EXPIRES,
    upload: { url: 'http://edge-a:8420/v1/uploads/upl_1?link=secret', offset: 7, length: null, expiresAt: null },
    image: null,
  })
  const plain = await ask({ state: 'open' })
  expect([plain.headers.get('cache-control'), plain.headers.get('content-type')]).toEqual(['no-store', 'text/plain; charset=utf-8'])
})
