// UploadQuota: how many unfinished uploads a store, a creator and the links of a creator may have, so that no creator keeps others from creating.

import { problem } from '../../../protocol/problems.ts'
import type { ProblemError } from '../../../protocol/problems.ts'
import type { Actor } from '../../contract/access.ts'
import { creatorTokenId } from '../record/upload.ts'
import type { Upload } from '../record/upload.ts'

/** Most unfinished uploads, parts among them. */
export interface QuotaLimits {
  readonly store: number
  /** Those of one token, and of the links it made. */
  readonly creator: number
  /** Those of all links that one token made, so that they leave the token most of its slots. */
  readonly links: number
}

export const QUOTA_LIMITS: QuotaLimits = { store: 10_000, creator: 1000, links: 100 }

export interface UploadQuota {
  /** A slot for an upload that is being created, held until disposed: by then the upload is among the live ones. Throws `limit-reached`. */
  acquire(actor: Actor): Disposable
}

interface Holder {
  readonly creator: string | null
  readonly isByLink: boolean
}

/** Makes the slots of a store; `live` gives its unfinished uploads. */
export function createUploadQuota(live: () => Iterable<Upload>, limits: QuotaLimits): UploadQuota {
  const creating = new Set<Holder>()

  const holders = function* (): Generator<Holder> {
    for (const { file } of live()) yield { creator: file.creatorTokenId, isByLink: file.linkId !== null }
    yield* creating
  }
  return {
    acquire(actor) {
      const mine: Holder = { creator: creatorTokenId(actor), isByLink: actor.link !== undefined }
      let all = 0
      let own = 0
      let byLinks = 0
      for (const { creator, isByLink } of holders()) {
        all++
        if (creator !== mine.creator) continue
        own++
        if (isByLink) byLinks++
      }
      if (all >= limits.store) throw full(`The store has ${limits.store} unfinished uploads.`)
      if (own >= limits.creator) throw full(`The token has ${limits.creator} unfinished uploads.`)
      if (mine.isByLink && byLinks >= limits.links) throw full(`The links of one token have ${limits.links} unfinished uploads.`)
      creating.add(mine)
      return { [Symbol.dispose]: () => void creating.delete(mine) }
    },
  }
}

function full(detail: string): ProblemError {
  return problem('limit-reached', detail, { action: 'Finish or delete some of them, or wait until they expire.' })
}
