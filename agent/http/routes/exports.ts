// Routes of exports: images written as files into exports/ on the mount path.

import { z } from 'zod'
import { exportPlanSchema, exportSchema, newExportSchema } from '../../../protocol/images/export.ts'
import type { Export } from '../../../protocol/images/export.ts'
import { pageQuerySchema, pageSchema } from '../../../protocol/page.ts'
import { problem, ProblemError } from '../../../protocol/problems.ts'
import { taskSchema } from '../../../protocol/task.ts'
import type { BrowsedFile, FileBrowser } from '../../contract/browse.ts'
import type { Exports } from '../../contract/exports.ts'
import type { Clock } from '../../contract/runtime.ts'
import { evaluateConditions, formatHttpDate, rangeApplies } from '../content/conditions.ts'
import { CONTENT_RANGE, ETAG, formatDisposition, IMAGE_MEDIA_TYPES, imageContentType } from '../content/content-headers.ts'
import { withinDeadline } from '../deadline.ts'
import { openPacedStream } from '../content/paced-stream.ts'
import { pageOf } from '../paging.ts'
import { parseRange } from '../content/ranges.ts'
import { route } from '../route.ts'
import type { Route, RouteContext } from '../route.ts'
import type { TransferGate } from '../content/transfer-gate.ts'
import { isSeen, visibleExport } from '../visible/visible-export.ts'
import type { ExportLookup } from '../visible/visible-export.ts'
import { servedImage } from '../content/open-content.ts'

export interface ExportRoutesDeps extends ExportLookup {
  readonly exports: Exports
  readonly files: Pick<FileBrowser, 'open'>
  readonly downloads: TransferGate
  readonly clock: Clock
}

/** Exporting takes disk space of the store, so callers below operator need the right by name. */
const EXPORT = { role: 'operator', right: 'export' } as const
const idSchema = z.object({ id: z.string().min(1).max(255) })
const listSchema = pageQuerySchema.extend({ image: z.string().min(1).max(255).optional() })

/** Returns the routes of exports. */
export function exportRoutes(deps: ExportRoutesDeps): Route[] {
  const { exports, images } = deps
  const content = {
    path: '/v1/exports/:id/content',
    access: { role: 'viewer', link: 'download' },
    params: idSchema,
    problems: ['not-found', 'wrong-status', 'precondition-failed', 'range-not-satisfiable'],
    crossOrigin: true,
    answers: {
      200: { description: 'The complete file', mediaType: 'application/octet-stream', streams: IMAGE_MEDIA_TYPES, headers: [ETAG] },
      206: { description: 'One range of the file', mediaType: 'application/octet-stream', streams: IMAGE_MEDIA_TYPES, headers: [ETAG, CONTENT_RANGE] },
      304: { description: 'The file has not changed' },
    },
  } as const
  return [
    route({
      method: 'POST',
      path: '/v1/images/:id/exports',
      access: EXPORT,
      summary: 'Writes an image as a file into exports/ on the mount path, as it was uploaded or converted',
      problems: ['conflict', 'wrong-status', 'already-exported', 'insufficient-storage', 'unsafe-image', 'data-corrupt', 'limit-reached'],
      params: idSchema,
      body: newExportSchema,
      description: 'With `dryRun`, the answer is the plan, and nothing changes.',
      answers: {
        200: { description: 'The plan of a dry run', schema: exportPlanSchema },
        202: { description: 'The task that writes the file', schema: taskSchema },
      },
      async run({ params, body, actor, request }) {
        const image = servedImage(images, params.id, actor, EXPORT)
        if (body.dryRun) return Response.json(await exports.plan({ image, as: body.as }, request.signal))
        const task = await exports.start({ image, as: body.as, createdBy: actor.name }, request.signal)
        return Response.json(task, { status: 202, headers: { Location: `/v1/tasks/${task.id}` } })
      },
    }),
    route({
      method: 'GET',
      path: '/v1/exports',
      access: 'viewer',
      summary: 'Lists exports of images that the caller may see, oldest first',
      query: listSchema,
      answers: { 200: { description: 'A page of exports', schema: pageSchema(exportSchema) } },
      run({ query: { image, ...page }, actor }) {
        const seen = exports.list().filter((one) => isSeen(images, one, actor) && (image === undefined || one.image === image || one.imageName === image))
        return Response.json(pageOf(seen, ({ id }) => id, page))
      },
    }),
    route({
      method: 'GET',
      path: '/v1/exports/:id',
      access: 'viewer',
      summary: 'Shows an export',
      params: idSchema,
      problems: ['not-found'],
      answers: { 200: { description: 'The export', schema: exportSchema } },
      run: ({ params, actor }) => Response.json(visibleExport(deps, params.id, actor, 'read')),
    }),
    route({
      method: 'DELETE',
      path: '/v1/exports/:id',
      access: EXPORT,
      summary: 'Deletes an export and its file; the image can then be exported again',
      params: idSchema,
      problems: ['not-found', 'wrong-status'],
      answers: { 204: { description: 'The export was deleted' } },
      async run({ params, actor }) {
        await exports.delete(visibleExport(deps, params.id, actor, EXPORT).id, actor.name)
        return new Response(null, { status: 204 })
      },
    }),
    route({ ...content, method: 'GET', summary: 'Sends the file of an export', run: (context) => sendExport(deps, context, false) }),
    route({
      ...content,
      method: 'HEAD',
      summary: 'Shows the length and validators of the file of an export',
      run: (context) => sendExport(deps, context, true),
    }),
  ]
}

async function sendExport(deps: ExportRoutesDeps, context: RouteContext<{ id: string }>, isHead: boolean): Promise<Response> {
  const { params, actor } = context
  const found = visibleExport(deps, params.id, actor, 'export')
  if (found.state !== 'ready')
    throw problem('wrong-status', `The export of ${found.imageName} is ${found.state}.`, { action: `Wait for its task: task show ${found.task ?? ''}` })
  const file = await openFile(deps, found)
  let isStreamed = false
  try {
    const answer = await answerFile(deps, context, { found, file, isHead })
    isStreamed = answer.body !== null
    return answer
  } finally {
    if (!isStreamed) await file[Symbol.asyncDispose]()
  }
}

/** Opens the file of an export. Throws ProblemError `not-found` when somebody has removed or replaced it. */
async function openFile({ files, clock }: ExportRoutesDeps, { path, length, imageName }: Export): Promise<BrowsedFile> {
  const gone = () =>
    problem('not-found', `The file ${path} of the export of ${imageName} was removed or replaced.`, {
      action: 'Delete the export, then export the image again.',
    })
  const file = await withinDeadline(clock, files.open(path)).catch((error: unknown) => {
    if (error instanceof ProblemError && error.code === 'not-found') throw gone()
    throw error
  })
  if (file.length === length) return file
  await file[Symbol.asyncDispose]()
  throw gone()
}

interface ExportFile {
  readonly found: Export
  readonly file: BrowsedFile
  readonly isHead: boolean
}

/** Answers with the file. A body closes the file when it has ended; the caller closes it for an answer without one. */
async function answerFile({ downloads }: ExportRoutesDeps, { request, actor, log }: RouteContext, { found, file, isHead }: ExportFile): Promise<Response> {
  const validators = { etag: file.etag, lastModifiedMs: file.modifiedMs }
  const headers = new Headers({
    ETag: file.etag,
    'Last-Modified': formatHttpDate(file.modifiedMs),
    'Accept-Ranges': 'bytes',
    'Content-Type': imageContentType(found.as),
    'Content-Disposition': formatDisposition(found.name),
    'Cache-Control': 'private, no-cache, no-transform',
  })
  const outcome = evaluateConditions(request.headers, validators)
  if (outcome === 'failed') throw problem('precondition-failed', `The ETag of the file is ${file.etag}.`, {}, { headers: { ETag: file.etag } })
  if (outcome === 'not-modified') return new Response(null, { status: 304, headers })
  const range = !isHead && rangeApplies(request.headers, validators) ? parseRange(request.headers.get('range'), file.length) : ({ kind: 'whole' } as const)
  if (range.kind === 'unsatisfiable')
    throw problem('range-not-satisfiable', `The file is ${file.length} bytes long.`, {}, { headers: { 'Content-Range': `bytes */${file.length}` } })
  const { start, end } = range.kind === 'part' ? range : { start: 0, end: file.length }
  const status = range.kind === 'part' ? 206 : 200
  headers.set('Content-Length', String(end - start))
  if (range.kind === 'part') headers.set('Content-Range', `bytes ${start}-${end - 1}/${file.length}`)
  if (isHead || start === end) return new Response(null, { status, headers })
  // It was only read, so nothing is lost when closing it fails.
  const closeFile = async (): Promise<void> => {
    await Promise.resolve(file[Symbol.asyncDispose]()).catch(() => {})
  }
  let position = start
  const body = await openPacedStream({
    gate: downloads,
    key: actor.name,
    signal: request.signal,
    ended: () => void closeFile(),
    failed: async (error) => log.error('failed to send an export', { export: found.id, error }),
    async *open(signal) {
      for await (const piece of file.read(position, end)) {
        signal.throwIfAborted()
        position += piece.byteLength
        yield piece
      }
    },
    isWhole: () => position === end,
  })
  return new Response(body, { status, headers })
}
