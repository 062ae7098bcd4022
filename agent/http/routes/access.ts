// Routes that manage tokens and create links.

import { z } from 'zod'
import { createdTokenSchema, linkSchema, newLinkSchema, newTokenSchema, tokenSchema } from '../../../protocol/access.ts'
import type { CreatedToken, Link, NewLink, NewToken, Token } from '../../../protocol/access.ts'
import { pageQuerySchema, pageSchema } from '../../../protocol/page.ts'
import { uploadLinkSchema } from '../../../protocol/upload-link.ts'
import type { UploadLink } from '../../../protocol/upload-link.ts'
import type { LinkOrder } from '../../access/links.ts'
import type { Actor } from '../../contract/access.ts'
import { pageOf } from '../paging.ts'
import { contentOrigin } from '../public-origin.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'
import { visibleExport } from '../visible/visible-export.ts'
import type { ExportLookup } from '../visible/visible-export.ts'
import { visibleImage } from '../visible/visible-image.ts'

export interface AccessRoutesDeps extends ExportLookup {
  /** Returns the URLs of the agent on the data network, for links. */
  readonly dataUrls?: () => readonly string[]
  readonly tokens: {
    list(): Token[]
    create(order: NewToken, actor: Actor): Promise<CreatedToken>
    /** Throws ProblemError `not-found`, or `conflict` for the token of the configuration. */
    rotate(id: string, actor: Actor): Promise<CreatedToken>
    /** Throws ProblemError `not-found`, or `conflict` for the last admin token. */
    remove(id: string, actor: Actor): void
  }
  readonly links: {
    /** Creates a link and returns its path and query. */
    create(order: LinkOrder, actor: Actor): Promise<{ readonly id: string; readonly path: string; readonly expiresAt: string }>
    /** Returns the upload links that an actor may see, oldest first. */
    list(actor: Actor): UploadLink[]
    /** Throws ProblemError `not-found`. */
    get(id: string, actor: Actor): UploadLink
  }
  /** Revokes an upload link and cancels its upload. Throws ProblemError `not-found`, or `wrong-status` for one that has ended. */
  readonly revokeLink: (id: string, actor: Actor) => Promise<void>
}

const idSchema = z.object({ id: z.string().max(64) })

/** Returns the routes of /v1/tokens and /v1/links. */
export function accessRoutes(deps: AccessRoutesDeps): Route[] {
  return [...tokenRoutes(deps), ...linkRoutes(deps)]
}

function tokenRoutes({ tokens }: AccessRoutesDeps): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/tokens',
      access: 'admin',
      summary: 'Lists tokens without their secrets, oldest first',
      query: pageQuerySchema,
      answers: { 200: { description: 'A page of tokens', schema: pageSchema(tokenSchema) } },
      run: ({ query }) =>
        Response.json(
          pageOf(
            tokens.list().toSorted((a, b) => (a.id < b.id ? -1 : 1)),
            (token) => token.id,
            query,
          ),
        ),
    }),
    route({
      method: 'POST',
      path: '/v1/tokens',
      access: 'admin',
      summary: 'Creates a token; only this answer shows its secret',
      body: newTokenSchema,
      answers: { 201: { description: 'The token and its secret', schema: createdTokenSchema } },
      run: async ({ body, actor }) => Response.json(await tokens.create(body, actor), { status: 201 }),
    }),
    route({
      method: 'POST',
      path: '/v1/tokens/:id/rotate',
      access: 'admin',
      summary: 'Gives a token a new secret, which only this answer shows; the previous secret becomes invalid at once',
      problems: ['conflict'],
      params: idSchema,
      answers: { 200: { description: 'The token and its new secret', schema: createdTokenSchema } },
      run: async ({ params, actor }) => Response.json(await tokens.rotate(params.id, actor)),
    }),
    route({
      method: 'DELETE',
      path: '/v1/tokens/:id',
      access: 'admin',
      summary: 'Deletes a token; the links that it created become invalid',
      problems: ['conflict'],
      params: idSchema,
      answers: { 204: { description: 'The token was deleted' } },
      run({ params, actor }) {
        tokens.remove(params.id, actor)
        return new Response(null, { status: 204 })
      },
    }),
  ]
}

function linkRoutes({ links, revokeLink, images, exports, dataUrls = () => [] }: AccessRoutesDeps): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/links',
      access: 'uploader',
      summary: 'Lists upload links without their secrets, oldest first: those of the token, and for operators all',
      description: 'Download links are signed and not stored, so they are not listed. A link that has ended is listed for 7 days.',
      query: pageQuerySchema,
      answers: { 200: { description: 'A page of upload links', schema: pageSchema(uploadLinkSchema) } },
      run: ({ query, actor }) => Response.json(pageOf(links.list(actor), (link) => link.id, query)),
    }),
    route({
      method: 'GET',
      path: '/v1/links/:id',
      access: 'uploader',
      summary: 'Shows an upload link without its secret',
      params: idSchema,
      answers: { 200: { description: 'The upload link', schema: uploadLinkSchema } },
      run: ({ params, actor }) => Response.json(links.get(params.id, actor)),
    }),
    route({
      method: 'DELETE',
      path: '/v1/links/:id',
      access: 'uploader',
      summary: 'Revokes an upload link at once, and cancels its unfinished upload',
      problems: ['wrong-status'],
      params: idSchema,
      answers: { 204: { description: 'The link was revoked' } },
      async run({ params, actor }) {
        await revokeLink(params.id, actor)
        return new Response(null, { status: 204 })
      },
    }),
    route({
      method: 'POST',
      path: '/v1/links',
      access: 'uploader',
      summary: 'Creates a link that allows one upload, or the download of one image or export, without a token; only this answer shows it',
      problems: ['not-found', 'conflict'],
      body: newLinkSchema,
      answers: { 201: { description: 'The link', schema: linkSchema } },
      async run({ body, actor, request }) {
        const { id, path, expiresAt } = await links.create(body.kind === 'download' ? downloadOrder({ images, exports }, body, actor) : body, actor)
        const link: Link = { id, kind: body.kind, url: contentOrigin(request, dataUrls()) + path, expiresAt }
        return Response.json(link, { status: 201 })
      },
    }),
  ]
}

/** Resolves the image or the export of a download link. Throws ProblemError `not-found`, `conflict` or `forbidden`. */
function downloadOrder(deps: ExportLookup, body: Extract<NewLink, { kind: 'download' }>, actor: Actor): LinkOrder {
  const { image, export: exported, ttlSeconds } = body
  if (exported === undefined) return { kind: 'download', image: visibleImage(deps.images, image ?? '', actor, 'use').id, ttlSeconds }
  visibleExport(deps, exported, actor, 'use')
  const found = visibleExport(deps, exported, actor, 'export')
  return { kind: 'download', image: found.image, export: found.id, ttlSeconds }
}
