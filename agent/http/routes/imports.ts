// The route that imports an image from an address or a path, and the plan of an import.

import { importPlanSchema, importRequestSchema } from '../../../protocol/images/imports.ts'
import type { ImportPlan } from '../../../protocol/images/imports.ts'
import type { Role } from '../../../protocol/access.ts'
import type { ImageDraft } from '../../../protocol/images/image.ts'
import { problem } from '../../../protocol/problems.ts'
import { taskSchema } from '../../../protocol/task.ts'
import type { Task } from '../../../protocol/task.ts'
import type { Actor } from '../../contract/access.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

/** An import as the route orders it. */
interface ImportOrder {
  readonly location: { readonly kind: 'url'; readonly url: string } | { readonly kind: 'path'; readonly path: string }
  readonly credentials: Partial<Readonly<Record<'username' | 'password' | 'token' | 'privateKey' | 'passphrase' | 'hostKey', string | undefined>>>
  readonly origin: 'url' | 'path'
  readonly draft: ImageDraft
  readonly creator: { readonly name: string; readonly tokenId: string; readonly role: Role }
}

export interface ImportRoutesDeps {
  readonly imports: {
    start(order: ImportOrder): Promise<Task>
    plan(order: ImportOrder, signal: AbortSignal): Promise<ImportPlan>
    planUpload(order: Pick<ImportOrder, 'draft' | 'creator'> & { readonly length: number }): Promise<ImportPlan>
  }
}

/** Returns the route POST /v1/images. */
export function importRoutes({ imports }: ImportRoutesDeps): Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/images',
      access: 'uploader',
      summary: 'Imports an image from an address, or from a path on the node of the agent',
      description: 'A path needs the role admin. With `dryRun`, the answer is the plan, and nothing changes; `source.length` then plans an upload.',
      problems: [
        'store-disabled',
        'feature-disabled',
        'limit-reached',
        'insufficient-storage',
        'source-not-allowed',
        'source-unreachable',
        'source-refused',
        'host-key-mismatch',
        'not-found',
        'format-mismatch',
        'shutting-down',
      ],
      body: importRequestSchema,
      answers: {
        200: { description: 'The plan of a dry run', schema: importPlanSchema },
        202: { description: 'The task that imports the image', schema: taskSchema },
      },
      async run({ body: { source, dryRun, ...draft }, actor, request }) {
        if (source.length !== undefined) {
          if (dryRun) return Response.json(await imports.planUpload({ ...creation(draft, actor), length: source.length }))
          throw problem('invalid-input', 'A source with a length is for plans only: send the bytes to /v1/uploads.', {
            action: 'Add "dryRun": true, or create an upload.',
          })
        }
        const order = orderOf(source, draft, actor)
        if (dryRun) return Response.json(await imports.plan(order, request.signal))
        const task = await imports.start(order)
        return Response.json(task, { status: 202, headers: { Location: `/v1/tasks/${task.id}` } })
      },
    }),
  ]
}

type Source = { readonly url?: string | undefined; readonly path?: string | undefined } & ImportOrder['credentials']

function orderOf({ url, path, ...credentials }: Source, draft: ImageDraft, actor: Actor): ImportOrder {
  const order = { credentials, ...creation(draft, actor) }
  if (url !== undefined) return { ...order, origin: 'url', location: { kind: 'url', url } }
  if (actor.role !== 'admin') throw problem('forbidden', 'Importing from a path needs the role admin: it reads files of the node.')
  return { ...order, origin: 'path', location: { kind: 'path', path: path ?? '' } }
}

/** Returns what the image will be, and who adds it. The image belongs to the user of the token, as an upload does. */
function creation(draft: ImageDraft, { name, tokenId, role, subject }: Actor): Pick<ImportOrder, 'draft' | 'creator'> {
  if (tokenId === undefined) throw problem('forbidden', 'An import needs a token.')
  return { draft: subject === undefined ? draft : { owner: subject, ...draft }, creator: { name, tokenId, role } }
}
