// Routes that list folders and send files of the mount path. The files contain the slices of every image, so only operators may read them. Every
// token may list names, except those of work in progress and of images that it may not see.

import { z } from 'zod'
import { fileSchema } from '../../../protocol/file.ts'
import { pageQuerySchema, pageSchema } from '../../../protocol/page.ts'
import { problem } from '../../../protocol/problems.ts'
import type { Actor } from '../../contract/access.ts'
import type { BrowsedFile, FileBrowser, FileView } from '../../contract/browse.ts'
import type { Clock, Log } from '../../contract/runtime.ts'
import { evaluateConditions, formatHttpDate, rangeApplies } from '../content/conditions.ts'
import { formatDisposition } from '../content/content-headers.ts'
import { withinDeadline } from '../deadline.ts'
import { seenImages } from '../visible/image-mentions.ts'
import type { FindImage } from '../visible/image-mentions.ts'
import { parseRange } from '../content/ranges.ts'
import { route } from '../route.ts'
import type { Route, RouteContext } from '../route.ts'

/** Longest body in bytes that is sent in one piece. */
const SMALL_BODY_MAX = 1024 * 1024

/** Folders whose entries show work in progress, or images under other names, whoever may see them. */
const PRIVATE_FOLDERS = ['uploads', 'sync', 'exports', 'inbox', 'quarantine']
/** The folder of images, whose entries are their ids. */
const IMAGES_FOLDER = 'images'

/** The pattern of a relative path, for the OpenAPI document only: parseRelativePath returns a more specific problem. */
const PATH = { pattern: String.raw`^(?:/|(?!/)(?!(?:.*/)?\.\.(?:/|$))[^\\\u0000]*)$` }
const pathSchema = z.string().meta(PATH)

export interface FileRoutesDeps {
  readonly files: FileBrowser
  readonly clock: Clock
  readonly findImage: FindImage
}

/** Returns the routes below /v1/files. */
export function fileRoutes({ files, clock, findImage }: FileRoutesDeps): Route[] {
  const openAndAnswer = async ({ request, query, log }: RouteContext<unknown, { path: string }>, isHead: boolean): Promise<Response> => {
    const file = await openInTime(files, query.path, clock)
    try {
      return await answerFile(request, isHead, file, log)
    } catch (error) {
      await file[Symbol.asyncDispose]()
      throw error
    }
  }
  const content = {
    path: '/v1/files/content',
    access: 'operator',
    query: z.object({ path: pathSchema }),
    problems: ['not-found', 'outside-mount-path', 'precondition-failed', 'range-not-satisfiable'],
    answers: {
      200: { description: 'The complete file', mediaType: 'application/octet-stream' },
      206: { description: 'One range of the file', mediaType: 'application/octet-stream' },
      304: { description: 'The file has not changed' },
    },
  } as const
  return [
    route({
      method: 'GET',
      path: '/v1/files',
      access: 'viewer',
      summary:
        'Lists a folder of the mount path, sorted by name; only operators may list work in progress, exports and quarantine, and images that they may not see otherwise',
      query: pageQuerySchema.extend({ path: pathSchema.default('') }),
      problems: ['not-found', 'outside-mount-path'],
      answers: { 200: { description: 'A page of files', schema: pageSchema(fileSchema) } },
      run: async ({ query: { path, ...page }, actor }) =>
        Response.json(await withinDeadline(clock, files.list(path, { ...page, ...viewOf(findImage, actor) }))),
    }),
    route({ ...content, method: 'GET', summary: 'Sends a file of the mount path', run: (context) => openAndAnswer(context, false) }),
    route({
      ...content,
      method: 'HEAD',
      summary: 'Shows the length and validators of a file of the mount path',
      run: (context) => openAndAnswer(context, true),
    }),
  ]
}

/** Returns what an actor may list: entries of the folder images only if they are not images that it may not see. */
function viewOf(findImage: FindImage, actor: Actor): FileView {
  const seen = seenImages(findImage, actor)
  if (seen.isComplete) return {}
  return { withheld: PRIVATE_FOLDERS, isSeen: ([top, entry = '']) => top !== IMAGES_FOLDER || seen.hasAllOf(entry) }
}

/** Opens a file within the deadline. Closes a file that opens later. */
async function openInTime(files: FileBrowser, path: string, clock: Clock): Promise<BrowsedFile> {
  const opening = files.open(path)
  let isLate = false
  const orClose = opening.then(async (file) => {
    if (isLate) await file[Symbol.asyncDispose]()
    return file
  })
  try {
    return await withinDeadline(clock, orClose)
  } catch (error) {
    isLate = true
    throw error
  }
}

/** Returns the answer, which owns the file and closes it when the body ends or is cancelled. */
async function answerFile(request: Request, isHead: boolean, file: BrowsedFile, log: Log): Promise<Response> {
  const validators = { etag: file.etag, lastModifiedMs: file.modifiedMs }
  const headers = new Headers({
    ETag: file.etag,
    'Last-Modified': formatHttpDate(file.modifiedMs),
    'Accept-Ranges': 'bytes',
    'Content-Type': 'application/octet-stream',
    'Content-Disposition': formatDisposition(file.name),
    'Cache-Control': 'private, no-cache',
  })
  switch (evaluateConditions(request.headers, validators)) {
    case 'failed':
      throw problem('precondition-failed', `The ETag of the file is ${file.etag}.`, {}, { headers: { ETag: file.etag } })
    case 'not-modified':
      await file[Symbol.asyncDispose]()
      return new Response(null, { status: 304, headers })
    case 'proceed':
  }
  const range = !isHead && rangeApplies(request.headers, validators) ? parseRange(request.headers.get('range'), file.length) : ({ kind: 'whole' } as const)
  if (range.kind === 'unsatisfiable')
    throw problem('range-not-satisfiable', `The file is ${file.length} bytes long.`, {}, { headers: { 'Content-Range': `bytes */${file.length}` } })
  const { start, end } = range.kind === 'part' ? range : { start: 0, end: file.length }
  headers.set('Content-Length', String(end - start))
  if (range.kind === 'part') headers.set('Content-Range', `bytes ${start}-${end - 1}/${file.length}`)
  const status = range.kind === 'part' ? 206 : 200
  if (isHead || start === end) {
    await file[Symbol.asyncDispose]()
    return new Response(null, { status, headers })
  }
  if (end - start <= SMALL_BODY_MAX) return new Response(await readWhole(file, start, end), { status, headers })
  return new Response(streamFile(file, start, end, log), { status, headers })
}

async function readWhole(file: BrowsedFile, start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
  const body = new Uint8Array(end - start)
  let at = 0
  for await (const piece of file.read(start, end)) {
    body.set(piece, at)
    at += piece.byteLength
  }
  await file[Symbol.asyncDispose]()
  return body
}

/** Returns a stream of the bytes of a file. The stream fails if the file cannot be read up to its announced length. */
function streamFile(file: BrowsedFile, start: number, end: number, log: Log): ReadableStream<Uint8Array> {
  const pieces = file.read(start, end)
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const next = await pieces.next()
          if (!next.done) {
            controller.enqueue(next.value)
            return
          }
          await file[Symbol.asyncDispose]()
          controller.close()
        } catch (error) {
          log.error('failed to send a file', { error })
          await file[Symbol.asyncDispose]()
          controller.error(error)
        }
      },
      async cancel() {
        await pieces.return(undefined)
        await file[Symbol.asyncDispose]()
      },
    },
    { highWaterMark: 0 },
  )
}
