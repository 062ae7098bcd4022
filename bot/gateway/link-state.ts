// What is known of an upload link: what the agent says to whoever has it, and of a finished upload what the store found in the image.

import { exchange } from '../../protocol/client/exchange.ts'
import type { Peer } from '../../protocol/client/exchange.ts'
import { uploadIdOf } from '../../protocol/client/upload-client.ts'
import type { Image } from '../../protocol/images/image.ts'
import { formatSize } from '../../protocol/units.ts'
import { uploadSchema } from '../../protocol/upload.ts'
import { linkStatusSchema } from '../../protocol/upload-link.ts'
import type { LinkStatus } from '../../protocol/upload-link.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { StoreRecord } from '../fleet/registry.ts'

/**
 * Who reads the next step: somebody with the page of a link, who has to ask for another one; or a person on the page of a store, who chooses the file again.
 */
export type Audience = 'link' | 'store'

/** What the page of a link shows and follows. Lengths in bytes. */
export interface LinkState {
  readonly state: LinkStatus['state']
  readonly store: string
  /** Null when the file names the image. */
  readonly name: string | null
  readonly format: string | null
  readonly lengthMax: number
  readonly expiresAt: string
  /** Whether nothing more happens. */
  readonly isFinal: boolean
  readonly sentence: string
  /** What to do next; empty when there is nothing. */
  readonly action: string
  /** The upload in progress. `path` is at the bot, `direct` at the agent; `filename` is the file with which it began. */
  readonly upload: {
    readonly path: string
    readonly direct: string
    readonly offset: number
    readonly length: number | null
    readonly filename: string | null
    readonly expiresAt: string | null
  } | null
  /** Id of the image that the upload became; null before, and once the image is deleted. */
  readonly image: string | null
  /** What the store found, as labels and values. */
  readonly found: readonly (readonly [label: string, value: string])[]
}

export interface LinkStateDeps {
  readonly peer: Peer
  readonly fleet: Pick<Fleet, 'contact'>
  readonly store: StoreRecord
  readonly secret: string
  /** Path of the uploads of the link at the bot. */
  readonly uploadsPath: string
  readonly audience: Audience
}

/** Asks the agent. Throws ProblemError: `link-expired` when it no longer knows the link, `peer-unreachable` when it does not answer. */
export async function readLinkState({ peer, fleet, store, secret, uploadsPath, audience }: LinkStateDeps): Promise<LinkState> {
  const answer = await exchange(peer, { path: ['v1', 'uploads'], query: { link: secret } })
  const status = await answer.json(linkStatusSchema)
  const upload = status.upload && (await uploadOf({ peer, secret, uploadsPath }, status.upload))
  const image = status.image && (await imageOf(fleet, store, status.image.id))
  const { state, name, format, maxLength, expiresAt } = status
  const isInspected = status.image !== null && status.image.status !== 'creating'
  return {
    ...{ state, store: store.name, name, format, lengthMax: maxLength, expiresAt, upload },
    isFinal: state === 'completed' ? status.image === null || isInspected : state !== 'open' && state !== 'used',
    ...wordsOf(status, store.name, NEXT_STEPS[audience]),
    image: status.image?.id ?? null,
    found: image ? findingsOf(image) : [],
  }
}

async function uploadOf(
  { peer, secret, uploadsPath }: Pick<LinkStateDeps, 'peer' | 'secret' | 'uploadsPath'>,
  { url, offset, length, expiresAt }: NonNullable<LinkStatus['upload']>,
): Promise<LinkState['upload']> {
  const id = uploadIdOf(url.split('?')[0] ?? '')
  if (id === undefined) return null
  // HEAD would end a body in progress; GET leaves it.
  const answer = await exchange(peer, { path: ['v1', 'uploads', id], query: { link: secret }, accept: [303, 404, 409, 410] })
  const shown = answer.status === 200 ? await answer.json(uploadSchema) : undefined
  await answer.close()
  return { path: `${uploadsPath}/${id}`, direct: url, offset: shown?.offset ?? offset, length, filename: shown?.filename ?? null, expiresAt }
}

/** Returns the image as the bot sees it; undefined when it is gone, or when the bot may not see it. The page then does without what was found. */
async function imageOf(fleet: Pick<Fleet, 'contact'>, store: StoreRecord, id: string): Promise<Image | undefined> {
  const contact = await fleet.contact(store, (agent) => agent.images.get(id))
  return contact.kind === 'answered' ? contact.value : undefined
}

/** What the store found in an image, for the person who uploaded it. */
function findingsOf({ name, format, formatDetails, length, virtualSize, status }: Image): LinkState['found'] {
  const rows: [string, string][] = [
    ['Image', name],
    ['Length', formatSize(length)],
  ]
  if (format !== null) rows.push(['Format', formatDetails?.variant ? `${format} (${formatDetails.variant})` : format])
  else if (formatDetails) rows.push(['Found', formatDetails.detected])
  if (virtualSize !== null) rows.push(['Size of the disk', formatSize(virtualSize)])
  if (formatDetails?.bootable) rows.push(['Boot record', 'present'])
  rows.push(['Status', status])
  return rows
}

type Words = Pick<LinkState, 'sentence' | 'action'>

interface NextSteps {
  readonly again: string
  /** After a file that the store refused was compared with its source. */
  readonly rightFile: string
  /** When the image is gone, or is not as it should be. */
  readonly look: string
}

const NEXT_STEPS: Readonly<Record<Audience, NextSteps>> = {
  link: {
    again: 'Ask for a new link to upload again.',
    rightFile: 'Then ask for a new link and upload the right file.',
    look: 'Ask the person who sent the link.',
  },
  store: { again: 'Choose the file again to upload it again.', rightFile: 'Then choose the right file.', look: 'Look for it in the images of the store.' },
}

function wordsOf({ state, upload, image }: LinkStatus, store: string, next: NextSteps): Words {
  switch (state) {
    case 'open':
      return { sentence: `Nothing has been sent to ${store} yet.`, action: 'Choose the file.' }
    case 'used':
      if (upload) return { sentence: 'The upload has begun.', action: 'Choose the same file to continue from where it stopped.' }
      return { sentence: 'The upload is being finished.', action: '' }
    case 'completed':
      return wordsOfImage(image, store, next)
    case 'cancelled':
      return { sentence: 'The upload was deleted, and no image is left.', action: next.again }
    case 'expired':
      return { sentence: 'The link has expired.', action: next.again }
    case 'revoked':
      return { sentence: 'The link was revoked. What had arrived was deleted.', action: next.again }
    default:
      return state satisfies never
  }
}

function wordsOfImage(image: LinkStatus['image'], store: string, next: NextSteps): Words {
  if (!image) return { sentence: 'All bytes arrived, but the image was removed since.', action: next.look }
  switch (image.status) {
    case 'creating':
    case 'uploading':
    case 'pending':
      return { sentence: `All bytes have arrived. ${store} inspects the image.`, action: '' }
    case 'available':
    case 'degraded':
      return { sentence: `The image is in ${store}.`, action: 'You can close this page.' }
    case 'error': {
      const reason = image.statusReason ?? 'The store does not say why.'
      return {
        sentence: `${store} refused the image: ${reason}`,
        action: `Compare the file with its source, for example with qemu-img check. ${next.rightFile}`,
      }
    }
    case 'fileUnavailable':
    case 'deleted':
    case 'deleting':
      return { sentence: `The image was uploaded; its status is now ${image.status}.`, action: next.look }
    default:
      return image.status satisfies never
  }
}
