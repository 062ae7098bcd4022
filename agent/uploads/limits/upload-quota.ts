// Upload quota: how many unfinished uploads a store, a creator and the links of a creator may have, so that one creator cannot block others.

import { problem } from '../../../protocol/problems.ts'
import type { ProblemError } from '../../../protocol/problems.ts'
import type { Actor } from '../../contract/access.ts'
import { creatorTokenId } from '../record/upload.ts'
import type { Upload } from '../record/upload.ts'

/** Most unfinished uploads, including parts. */
export interface QuotaLimits {
  readonly store: number
  /** Those of one token and of its links. */
  readonly creator: number
  /** Those of all links of one token, so that most of its quota stays with the token. */
  readonly links: number
}

export const QUOTA_LIMITS: QuotaLimits = { store: 10_000, creator: 1000, links: 100 }

export interface UploadQuota {
  /** Reserves quota for an upload that is being created, until disposed: by then the upload is among the live ones. Throws `limit-reached`. */
  acquire(actor: Actor): Disposable
}

interface Holder {
  readonly creator: string | null
  readonly isByLink: boolean
}

/** Creates the quota of a store; `live` returns its unfinished uploads. */
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
      if (all >= limits.store) throw full(`The store already has ${limits.store} unfinished uploads, which is its limit.`)
      if (own >= limits.creator) throw full(`The token already has ${limits.creator} unfinished uploads, which is its limit.`)
      if (mine.isByLink && byLinks >= limits.links) throw full(`The links of the token already have ${limits.links} unfinished uploads, which is their limit.`)
      creating.add(mine)
      return { [Symbol.dispose]: () => void creating.delete(mine) }
    },
  }
}

function full(detail: string): ProblemError {
  return problem('limit-reached', detail, { action: 'Finish or delete some of them, or wait until some expire.' })
}
