// What an upload link says to whoever opens it: for a browser and curl a short text with the lines that upload, for a page as JSON.

import type { Image } from '../../../../protocol/images/image.ts'
import { ProblemError } from '../../../../protocol/problems.ts'
import { formatSize } from '../../../../protocol/units.ts'
import { firstUploadLines, nextUploadLines } from '../../../../protocol/upload-lines.ts'
import type { UploadLines } from '../../../../protocol/upload-lines.ts'
import type { LinkStatus, UploadLink } from '../../../../protocol/upload-link.ts'
import type { Actor, LinkRight } from '../../../contract/access.ts'
import { lengthLimit } from '../../../uploads/limits/limits.ts'
import type { Uploads } from '../../../uploads/uploads.ts'
import { contentOrigin } from '../../public-origin.ts'
import { UPLOADS_PATH } from '../../uploads/upload-protocol.ts'
import type { UploadContext } from '../../uploads/upload-protocol.ts'

export interface LinkStatusDeps {
  readonly uploads: { readonly maxLength: number; readonly inProgress: Pick<Uploads['inProgress'], 'describe'> }
  readonly images: { find(id: string): Pick<Image, 'id' | 'status' | 'statusReason'> | undefined }
  /** Returns the link that authenticated a request. */
  readonly links: { own(link: LinkRight): UploadLink }
  readonly storeName: () => string
  readonly dataUrls?: () => readonly string[]
}

/** Answers GET of an upload link. The link is a secret and so is the answer, which no cache may store. */
export async function answerLink(deps: LinkStatusDeps, { request, actor, url }: UploadContext, right: LinkRight): Promise<Response> {
  const base = contentOrigin(request, deps.dataUrls?.() ?? []) + UPLOADS_PATH
  const status = await readStatus(deps, actor, right, (id) => `${base}/${id}${url.search}`)
  const headers = { 'Cache-Control': 'no-store', Vary: 'Accept' }
  if (/\bapplication\/json\b/i.test(request.headers.get('accept') ?? '')) return Response.json(status, { headers })
  return new Response(describeStatus(status, base + url.search), { headers: { ...headers, 'Content-Type': 'text/plain; charset=utf-8' } })
}

async function readStatus(
  { uploads, images, links, storeName }: LinkStatusDeps,
  actor: Actor,
  right: LinkRight,
  urlOf: (id: string) => string,
): Promise<LinkStatus> {
  const { state, name, draft, expiresAt, uploadId, imageId } = links.own(right)
  const upload = state === 'used' && uploadId !== null ? await describeUpload(uploads, uploadId, actor) : undefined
  const image = state === 'completed' && imageId !== null ? images.find(imageId) : undefined
  return {
    state,
    store: storeName(),
    name,
    format: draft.format ?? null,
    maxLength: lengthLimit(uploads.maxLength, actor),
    expiresAt,
    upload: upload && uploadId !== null ? { url: urlOf(uploadId), offset: upload.offset, length: upload.length, expiresAt: upload.expiresAt } : null,
    image: image ? { id: image.id, status: image.status, statusReason: image.statusReason } : null,
  }
}

/** Returns an upload in progress; undefined once it has ended, which the next request sees in the state of the link. */
async function describeUpload({ inProgress }: LinkStatusDeps['uploads'], id: string, actor: Actor) {
  try {
    return await inProgress.describe(id, actor)
  } catch (error) {
    if (error instanceof ProblemError) return undefined
    throw error
  }
}

/** Returns the text for a person. */
function describeStatus(status: LinkStatus, url: string): string {
  const { store, name, format, maxLength, expiresAt, upload, image, state } = status
  const title = `Upload of ${name ?? 'an image'} to ${store}`
  if (state === 'completed') return paragraphs(title, image ? describeImage(image) : 'The upload became an image, which was deleted since.')
  const facts = [
    `Store:         ${store}`,
    `Image:         ${name ?? 'named like the file'}`,
    `Format:        ${format ?? 'raw, qcow2, vmdk or iso'}`,
    `Largest file:  ${formatSize(maxLength)}`,
  ]
  if (upload) {
    const arrived = upload.length === null ? formatSize(upload.offset) : `${formatSize(upload.offset)} of ${formatSize(upload.length)}`
    const until = upload.expiresAt === null ? '' : ` It expires at ${upload.expiresAt} if nothing more arrives.`
    const how = 'The upload has begun. To continue it with the same file, from where it stopped:'
    return paragraphs(title, [...facts, `Arrived:       ${arrived}.${until}`].join('\n'), how, ...describeLines(nextUploadLines(upload.url)))
  }
  if (state === 'used') return paragraphs(title, facts.join('\n'), 'The upload is being finished. Open the link again in a moment.')
  return paragraphs(
    title,
    [...facts, `Begin before:  ${expiresAt}`].join('\n'),
    'This link uploads one file. Whoever has it can use it, so keep it secret.',
    ...describeLines(firstUploadLines(url, name !== null)),
    'Any other client of tus 1.0.0 takes this link as its endpoint.',
    'If the connection breaks, open this link again: it shows how to continue.',
  )
}

function describeImage({ id, status, statusReason }: NonNullable<LinkStatus['image']>): string {
  const lines = [`All bytes have arrived. The image ${id} has the status ${status}.`]
  if (statusReason !== null) lines.push(statusReason)
  return lines.join('\n')
}

function describeLines({ curl, tus }: UploadLines): string[] {
  return [
    'With curl, after FILE= the path of your file:',
    curl,
    'With Node.js and tus-js-client (npm install tus-js-client), after FILE= the path of your file:',
    tus,
  ]
}

function paragraphs(...parts: readonly string[]): string {
  return `${parts.join('\n\n')}\n`
}
