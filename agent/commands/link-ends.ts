// Brings upload links and uploads to the same state: when a link is revoked, after a crash between the changes of both, and with every maintenance.

import type { Access } from '../access/access.ts'
import type { Actor } from '../contract/access.ts'
import type { Log } from '../contract/runtime.ts'
import type { Uploads } from '../uploads/uploads.ts'
import type { UploadLink } from '../../protocol/upload-link.ts'

export interface LinkEndsDeps {
  readonly links: Pick<Access['links'], 'revoke' | 'unsettled' | 'settle' | 'release' | 'expire'>
  readonly uploads: Pick<Uploads, 'cancel' | 'presence'>
  readonly log: Log
}

/** Revokes a link, and cancels its upload: from then on no request of the link is accepted. Throws what `UploadLinks.revoke` throws. */
export async function revokeLink(deps: LinkEndsDeps, id: string, actor: Actor): Promise<void> {
  const { uploadId } = deps.links.revoke(id, actor)
  if (uploadId !== null) await cancelUpload(deps, uploadId, actor.name)
}

/** Settles what a crash left between a link and its upload. Runs once, before requests are accepted. */
export async function restoreLinks(deps: LinkEndsDeps): Promise<void> {
  await settleLinks(deps, ({ id, uploadId }) => {
    // The end of an upload is recorded before the upload is removed, so this creation did not finish, and nobody learnt its address.
    if (uploadId !== null && deps.uploads.presence(uploadId) === 'absent') deps.links.release(id, uploadId)
  })
}

/** Ends links whose time is over, and repeats what failed before. */
export async function maintainLinks(deps: LinkEndsDeps): Promise<void> {
  deps.links.expire()
  await settleLinks(deps, () => {})
}

async function settleLinks(deps: LinkEndsDeps, onUsed: (link: UploadLink) => void): Promise<void> {
  for (const link of deps.links.unsettled()) {
    const { id, uploadId, endedAt } = link
    if (uploadId === null) continue
    const presence = deps.uploads.presence(uploadId)
    if (presence === 'published') deps.links.settle(id, uploadId, 'completed')
    else if (endedAt === null) onUsed(link)
    else if (presence === 'unfinished') await cancelUpload(deps, uploadId, 'agent')
  }
}

async function cancelUpload({ uploads, log }: LinkEndsDeps, uploadId: string, by: string): Promise<void> {
  try {
    await uploads.cancel(uploadId, { name: by, role: 'operator' })
  } catch (error) {
    // The link is refused already. The upload is cancelled with the next maintenance, or expires.
    log.warn('the upload of a revoked link could not be cancelled', { upload: uploadId, error })
  }
}
