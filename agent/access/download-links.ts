// Download links: signed URLs that allow one download without a token. A link becomes invalid when it expires or when its creator's token expires or is
// deleted. Nothing is stored about it.

import { z } from 'zod'
import type { Token } from '../../protocol/access.ts'
import { formatTime } from '../../protocol/time.ts'
import type { LinkOutcome } from '../contract/access.ts'
import type { Clock } from '../contract/runtime.ts'
import type { KeptValues } from '../contract/store.ts'
import { createLinkSigner, newLinkKey } from './credentials.ts'
import { principalOf } from './principal.ts'

const KEY_OF_KEY = 'link-key'

/** The signed part of a link. The member names are short because the payload is part of a URL. */
const payloadSchema = z.object({
  v: z.literal(1),
  kind: z.literal('download'),
  id: z.string(),
  by: z.string(),
  end: z.number(),
  image: z.string(),
  export: z.string().optional(),
})
type Payload = z.infer<typeof payloadSchema>

export interface DownloadLinksDeps {
  readonly kept: KeptValues
  readonly clock: Clock
  /** Returns the token of the link's creator while it is valid. */
  readonly findToken: (id: string) => Token | undefined
}

/** What a download link is for, and the id of its creator's token. */
export interface DownloadLinkOrder {
  readonly id: string
  readonly by: string
  readonly endMs: number
  readonly image: string
  readonly export?: string | undefined
}

export interface DownloadLinks {
  /** Returns the path of a new link, with its query. */
  create(order: DownloadLinkOrder): Promise<string>
  /** Checks a link for a request; see Authenticator.byLink. */
  check(link: string, request: { readonly method: string; readonly path: string }): Promise<LinkOutcome>
}

/** Opens the download links of a store. The first start creates the key. */
export async function openDownloadLinks({ kept, clock, findToken }: DownloadLinksDeps): Promise<DownloadLinks> {
  const key = z.string().optional().parse(kept.read(KEY_OF_KEY)) ?? newLinkKey()
  kept.write(KEY_OF_KEY, key)
  const signer = await createLinkSigner(key)
  return {
    async create({ id, by, endMs, image, export: exported }) {
      const payload: Payload = { v: 1, kind: 'download', id, by, end: endMs, image, ...(exported === undefined ? {} : { export: exported }) }
      return `${downloadPath(payload)}?link=${await signer.sign(payload)}`
    },

    async check(link, { method, path }) {
      const payload = payloadSchema.safeParse(await signer.open(link)).data
      if (!payload) return { kind: 'refused', detail: 'The link is not valid.' }
      const { id, by, end, image, export: exported } = payload
      if (end <= clock.nowMs()) return { kind: 'refused', detail: `The link expired at ${formatTime(end)}.` }
      const token = findToken(by)
      if (!token) return { kind: 'refused', detail: 'The token that created the link has expired or was deleted.' }
      if (method !== 'GET' && method !== 'HEAD') return { kind: 'refused', detail: `The link does not allow ${method}.` }
      if (path !== downloadPath(payload)) return { kind: 'refused', detail: `The link is for another ${exported === undefined ? 'image' : 'export'}.` }
      const right = { id, makerTokenId: by, endMs: end, maker: principalOf(token), kind: 'download', image } as const
      return { kind: 'allowed', actor: { name: token.name, role: 'viewer', link: exported === undefined ? right : { ...right, export: exported } } }
    },
  }
}

/** Returns the only path that a download link allows. */
function downloadPath({ image, export: exported }: Pick<DownloadLinkOrder, 'image' | 'export'>): string {
  return exported === undefined ? `/v1/images/${encodeURIComponent(image)}/content` : `/v1/exports/${encodeURIComponent(exported)}/content`
}
