// Routes of the host keys that imports by sftp have pinned.

import { z } from 'zod'
import { HOST_LENGTH_MAX, hostKeySchema } from '../../../protocol/images/host-key.ts'
import { pageQuerySchema, pageSchema } from '../../../protocol/page.ts'
import { problem } from '../../../protocol/problems.ts'
import type { HostKeys } from '../../imports/sftp/host-keys.ts'
import { pageOf } from '../paging.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

const paramsSchema = z.object({ host: z.string().min(1).max(HOST_LENGTH_MAX) })

/** Returns the routes below /v1/host-keys. */
export function hostKeyRoutes({ hostKeys }: { readonly hostKeys: Pick<HostKeys, 'list' | 'forget'> }): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/host-keys',
      access: 'operator',
      summary: 'Lists the pinned host keys of SFTP servers by host',
      description: '`offered` is the key that a host offered when an import was refused.',
      query: pageQuerySchema,
      answers: { 200: { description: 'A page of host keys', schema: pageSchema(hostKeySchema) } },
      run: ({ query }) => Response.json(pageOf(hostKeys.list(), ({ host }) => host, query)),
    }),
    route({
      method: 'DELETE',
      path: '/v1/host-keys/:host',
      access: 'operator',
      summary: 'Forgets the pinned host key of an SFTP server; the next import from it pins the key that it shows then',
      params: paramsSchema,
      answers: { 204: { description: 'The host key was forgotten' } },
      run({ params: { host }, actor }) {
        if (hostKeys.forget(host, actor.name)) return new Response(null, { status: 204 })
        throw problem('not-found', `No host key of ${JSON.stringify(host)} is pinned.`, { action: 'Name the host with its port, as the list shows it.' })
      },
    }),
  ]
}
