// What the card of an upload link says. It never shows the link itself.

import type { Image } from '../../protocol/images/image.ts'
import type { Task } from '../../protocol/task.ts'
import { formatSize } from '../../protocol/units.ts'
import type { UploadLinkState } from '../../protocol/upload-link.ts'
import { quoteOption } from '../views/quote.ts'
import { formatWireTime } from '../../protocol/views/phrases.ts'
import { makeView } from '../../protocol/views/view.ts'
import type { Action, FollowedLink, View } from '../../protocol/views/view.ts'

/** What is known of the upload of a link. */
export interface LinkProgress {
  /** `gone`: the store no longer knows the link, or is not registered any more. */
  readonly state: UploadLinkState | 'gone'
  /** Whether an upload began. */
  readonly hasBegun?: boolean
  /** The upload while it is in progress. */
  readonly task?: Task
  /** The image that the upload became; null when it was removed since. */
  readonly image?: Pick<Image, 'id' | 'name' | 'status' | 'statusReason' | 'length'> | null | undefined
}

const INSPECTED: ReadonlySet<Image['status']> = new Set(['available', 'degraded', 'fileUnavailable', 'error', 'deleted', 'deleting'])

/** Whether nothing more happens to the upload of a link. */
export function isFinal({ state, image }: LinkProgress): boolean {
  if (state === 'open' || state === 'used') return false
  return state !== 'completed' || image === null || (image !== undefined && INSPECTED.has(image.status))
}

/** Returns the card. */
export function linkCard(link: FollowedLink, progress: LinkProgress, asOfMs: number): View {
  const { store, id, name, maxLength, expiresAt, by } = link
  const { outcome, tone, text } = describe(link, progress)
  const facts = [
    { label: 'State', value: STATE_WORDS[progress.state], tone },
    { label: 'Asked by', value: by },
    ...(progress.state === 'open' ? [{ label: 'Begin before', value: formatWireTime(expiresAt) }] : []),
    ...(maxLength === null ? [] : [{ label: 'Largest file', value: formatSize(maxLength) }]),
  ]
  const at = quoteOption('store', store)
  const actions: Action[] = []
  if (progress.state === 'open' || progress.state === 'used')
    actions.push({ label: 'Revoke', command: `link revoke ${id} ${at}`, role: 'uploader', style: 'danger' })
  if (progress.image) actions.push({ label: 'Show', command: `image show ${progress.image.id} ${at}`, role: 'viewer' })
  const task = progress.state === 'used' ? progress.task : undefined
  return makeView({
    title: `Upload of ${progress.image?.name ?? name ?? 'an image'} to ${store}`,
    outcome,
    tone,
    text,
    fields: facts,
    progress: task ? [{ store, task }] : [],
    actions,
    asOfMs,
    json: null,
  })
}

const STATE_WORDS: Readonly<Record<LinkProgress['state'], string>> = {
  open: 'waiting for the file',
  used: 'uploading',
  completed: 'completed',
  cancelled: 'upload deleted',
  expired: 'expired',
  revoked: 'revoked',
  gone: 'unknown',
}

function describe({ expiresAt, store }: FollowedLink, { state, hasBegun, task, image }: LinkProgress): Pick<View, 'outcome' | 'tone' | 'text'> {
  const failed = (text: string): Pick<View, 'outcome' | 'tone' | 'text'> => ({ outcome: 'failed', tone: 'warning', text })
  switch (state) {
    case 'open':
      return { outcome: 'done', tone: 'plain', text: 'The link was given to the person who asked. Nothing has arrived yet.' }
    case 'used':
      return { outcome: 'done', tone: 'plain', text: task ? 'The file is being uploaded.' : 'The upload has begun.' }
    case 'completed':
      return describeImage(image)
    case 'cancelled':
      return failed('The upload was deleted before its end. No image is left. Ask for another link to try again.')
    case 'expired':
      return failed(
        hasBegun
          ? 'The upload stopped and expired. No image is left. Ask for another link to try again.'
          : `Nothing was uploaded until ${formatWireTime(expiresAt)}. Ask for another link to try again.`,
      )
    case 'revoked':
      return failed('The link was revoked. What had arrived is deleted, and no image is left.')
    case 'gone':
      return failed(`${store} no longer knows this link, or is not registered any more. See image list for what became of the upload.`)
    default:
      return state satisfies never
  }
}

function describeImage(image: LinkProgress['image']): Pick<View, 'outcome' | 'tone' | 'text'> {
  if (image === null) return { outcome: 'failed', tone: 'warning', text: 'All bytes had arrived, but the image was removed since.' }
  if (image?.status === 'available') return { outcome: 'done', tone: 'good', text: `Image ${image.name} is available, ${formatSize(image.length)}.` }
  if (image?.status === 'error')
    return { outcome: 'failed', tone: 'bad', text: `The image cannot be used: ${image.statusReason ?? 'the store does not say why'}` }
  if (image !== undefined && INSPECTED.has(image.status))
    return { outcome: 'done', tone: 'warning', text: `All bytes have arrived. Image ${image.name} has the status ${image.status}.` }
  return { outcome: 'done', tone: 'plain', text: 'All bytes have arrived. The store inspects the image.' }
}
