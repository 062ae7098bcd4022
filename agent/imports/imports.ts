// The task `import`, which fetches an image from elsewhere, and the plan of one.

import type { Role } from '../../protocol/access.ts'
import { newId } from '../../protocol/ids.ts'
import type { ImageDraft } from '../../protocol/images/image.ts'
import type { ImportPlan, ImportResult } from '../../protocol/images/imports.ts'
import { problem, ProblemError } from '../../protocol/problems.ts'
import type { Task } from '../../protocol/task.ts'
import { untilAborted } from '../../protocol/until-aborted.ts'
import { problemOf } from '../contract/failures.ts'
import type { ImageRules } from '../contract/image-rules.ts'
import type { ImageAdmission, ImagePublisher } from '../contract/images.ts'
import type { InternalSource, InternalUploads } from '../contract/internal-uploads.ts'
import type { Clock, CrashPoint, Log } from '../contract/runtime.ts'
import type { Space } from '../contract/space.ts'
import type { StoreGate } from '../contract/store.ts'
import type { TaskContext, Tasks } from '../contract/work.ts'
import { filenameOf, importParamsSchema, joinSecret, splitSecret } from './import-params.ts'
import type { ImportParams } from './import-params.ts'
import { planImport, planUpload } from './plan.ts'
import { settledImage } from './settled-image.ts'
import type { ImportLocation, ImportScheme, SourceCredentials } from './source.ts'
import { transferSource } from './transfer.ts'

export interface ImportsDeps {
  readonly clock: Clock
  readonly log: Log
  readonly uploads: InternalUploads
  readonly images: Pick<ImagePublisher, 'find'> & ImageAdmission
  readonly tasks: Pick<Tasks, 'register' | 'start'>
  readonly space: Pick<Space, 'state'>
  readonly gate: Pick<StoreGate, 'requireEnabled'>
  readonly rules: ImageRules
  /** The ways to read a source; the first that accepts a location is used. */
  readonly schemes: readonly ImportScheme[]
  readonly limits: ImportPlan['limits']
  readonly crashPoint: CrashPoint
  readonly random: (length: number) => Uint8Array
}

/** An image to import. */
export interface ImportOrder {
  readonly location: ImportLocation
  readonly credentials: SourceCredentials
  /** How the image comes into the store: `url`, `path`, `inbox`, `existing`. */
  readonly origin: InternalSource['kind']
  readonly draft: ImageDraft
  /** Who imports, for the task; the token whose quota and share of the space the import uses; the role that decides which images it may add. */
  readonly creator: { readonly name: string; readonly tokenId: string; readonly role: Role }
  /** Ids of the upload and of the image, for an order that is repeated until it is done. By default each order gets new ones. */
  readonly ids?: { readonly uploadId: string; readonly imageId: string }
}

export interface Imports {
  /**
   * Starts a task, or returns the active one for the same order. Throws ProblemError when the location is not allowed, the store is disabled, or the
   * limit of the owner is reached.
   */
  start(order: ImportOrder): Promise<Task>
  /** Returns what an import would do. Reads the facts of the source, and changes nothing. Throws ProblemError when the source cannot be opened. */
  plan(order: ImportOrder, signal: AbortSignal): Promise<ImportPlan>
  /** Returns what an upload of this length would do. */
  planUpload(order: Pick<ImportOrder, 'draft' | 'creator'> & { readonly length: number }): Promise<ImportPlan>
}

/** Registers the task `import`, which continues at the durable offset after a restart or a retry. */
export function createImports(deps: ImportsDeps): Imports {
  const { clock, images, tasks, gate } = deps
  tasks.register('import', async (params, context) => ({ ...(await run(deps, importParamsSchema.parse(params), context)) }))

  return {
    async start(order) {
      gate.requireEnabled()
      deps.rules.admitDraft(order.draft, order.creator, order.origin)
      await schemeOf(deps, order.location).check(order.location)
      const imageId = order.ids?.imageId ?? newId('img', clock.nowMs(), deps.random(16))
      // The upload claims the place when the task runs. A refusal that is certain now is reported at once.
      images.admit({ id: imageId, owner: order.draft.owner ?? null, length: 0 })[Symbol.dispose]()
      const { location, secret } = splitSecret(order.location, order.credentials)
      const params: ImportParams = {
        uploadId: order.ids?.uploadId ?? newId('upl', clock.nowMs(), deps.random(16)),
        imageId,
        location,
        origin: order.origin,
        filename: filenameOf(location),
        creator: order.creator,
        draft: order.draft,
      }
      return tasks.start({
        kind: 'import',
        subject: imageId,
        createdBy: order.creator.name,
        creatorTokenId: order.creator.tokenId,
        params,
        // Orders with different secrets may read different bytes, so they are not the same.
        ...(secret === undefined
          ? { key: order.ids ? `import ${imageId}` : `import ${JSON.stringify([order.creator.tokenId, location, order.draft])}` }
          : { secret }),
      })
    },
    plan: (order, signal) => planImport(deps, order, schemeOf(deps, order.location), signal),
    planUpload: async (order) => planUpload(deps, order),
  }
}

/** Runs one import from where an earlier run ended. */
async function run(deps: ImportsDeps, params: ImportParams, context: TaskContext): Promise<ImportResult> {
  const { images, uploads, crashPoint } = deps
  const { imageId, uploadId, origin, draft, creator, filename } = params
  try {
    if (!images.find(imageId)) {
      const { location, credentials } = joinSecret(params.location, context.secret)
      const source = { kind: origin, url: params.location.kind === 'url' ? params.location.url : null, filename, device: null }
      const order = { id: uploadId, imageId, actor: creator, draft, source, taskId: context.taskId } as const
      await transferSource(deps, { order, source: schemeOf(deps, location).source(location, credentials) }, context)
      crashPoint('imports:published')
    }
    const image = await settledImage(deps, imageId, context.signal)
    return { image: image.id, name: image.name, length: image.length, verification: verificationOf(params) }
  } catch (error) {
    await stopped(error, context.signal)
    // An upload without bytes is worth nothing to a retry.
    const isKept = isRetryable(error, context.signal) && (context.signal.aborted || ((await uploads.find(uploadId))?.offset ?? 0) > 0)
    if (!isKept) await uploads.cancel(uploadId)
    throw error
  }
}

function verificationOf({ location, draft }: ImportParams): ImportResult['verification'] {
  if (draft.digest !== undefined) return 'digest'
  return location.kind === 'url' && /^(?:http|ftp):/i.test(location.url) ? 'none' : 'channel'
}

/** Waits for the abort of the signal when the agent is stopping: bodies end shortly before tasks do, and the task must not fail by that. */
async function stopped(error: unknown, signal: AbortSignal): Promise<void> {
  if (!(error instanceof ProblemError && error.code === 'shutting-down')) return
  await untilAborted(signal)
}

/** Codes after which a retry or the next start of the agent continues with the bytes that arrived. */
const RETRYABLE = new Set(['source-unreachable', 'insufficient-storage', 'store-unavailable', 'store-disabled', 'shutting-down', 'interrupted', 'internal'])

function isRetryable(error: unknown, signal: AbortSignal): boolean {
  const { code } = problemOf(signal.aborted ? signal.reason : error)
  return RETRYABLE.has(code)
}

function schemeOf({ schemes }: Pick<ImportsDeps, 'schemes'>, location: ImportLocation): ImportScheme {
  const scheme = schemes.find((candidate) => candidate.accepts(location))
  if (scheme) return scheme
  const name = location.kind === 'url' ? `the scheme ${new URL(location.url).protocol}//` : 'paths of the node'
  throw problem('invalid-input', `This store does not import from ${name}.`, {
    action: 'Use an address that begins with https://, http://, sftp://, ftps:// or ftp://.',
  })
}
