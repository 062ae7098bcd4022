// What `image delete` and `image purge` check before they ask for the names: what blocks each image, and how much the images hold.

import { UNIQUE_SIZE_IMAGES_MAX } from '../../../../protocol/images/image.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { problem } from '../../../../protocol/problems.ts'
import type { Store } from '../../../../protocol/store.ts'
import type { StoreRecord } from '../../../fleet/registry.ts'
import type { Action, ChecklistItem } from '../../../../protocol/views/view.ts'
import { formatBytes, statusWord } from '../../../../protocol/views/phrases.ts'
import type { CommandContext } from '../../command.ts'
import { askStore } from '../../select.ts'
import { quoteWord } from '../../../views/quote.ts'
import type { FoundImage } from '../find.ts'

/** Images whose checks are all shown; of more, only those that block. */
export const CHECKED_MAX = 30

/** A store that holds some of the images, as its agent describes it now. */
export interface HoldingStore {
  readonly record: StoreRecord
  readonly store: Store
}

/** The stores of these images, asked once each. Throws `store-unavailable` for one that cannot read its mount path, and what `askStore` throws. */
export async function holdingStores(context: CommandContext, found: readonly FoundImage[]): Promise<HoldingStore[]> {
  const unreadable = found.find(({ storeFailure }) => storeFailure?.isUnreadable)
  if (unreadable?.storeFailure) {
    throw problem('store-unavailable', `${unreadable.store.name} cannot read its mount path, so ${unreadable.image.name} cannot be deleted now.`, {
      action: `${unreadable.storeFailure.action} Then run the command again.`,
    })
  }
  const records = [...new Map(found.map(({ store }) => [store.name, store])).values()]
  return Promise.all(records.map(async (record) => ({ record, store: await askStore(context, record, (agent) => agent.store.get()) })))
}

/** `debian-12 (img_…, 1.2 GB) in edge-a`. */
export function describeImage({ store, image }: FoundImage): string {
  return `${image.name} (${image.id}, ${formatBytes(image.length)}) in ${store.name}`
}

/** Stored bytes that only these images of a store hold, shared slices counted once; null when the store cannot count them. */
export async function uniqueBytes(context: CommandContext, record: StoreRecord, found: readonly FoundImage[]): Promise<number | null> {
  const ids = found.flatMap(({ store, image }) => (store.name === record.name ? [image.id] : []))
  if (ids.length === 0 || ids.length > UNIQUE_SIZE_IMAGES_MAX) return null
  // An agent that does not have this route refuses; the question is then asked without the figure.
  const contact = await context.fleet.contact(record, (agent) => agent.images.uniqueSize(ids))
  return contact.kind === 'answered' ? contact.value : null
}

/** What may block the removal of one image. */
export function removalChecks({ image }: FoundImage): ChecklistItem[] {
  const { name, bindings } = image
  const blocker = statusBlocker(image)
  return [
    { label: `Protection of ${name}`, passed: !image.protected, detail: image.protected ? `protected; run image unprotect ${image.id} first` : 'none' },
    {
      label: `Use of ${name}`,
      passed: bindings.length === 0,
      detail: bindings.length === 0 ? 'no instance uses it' : `used by ${bindings.join(', ')}; remove these bindings first`,
    },
    { label: `Status of ${name}`, passed: blocker === undefined, detail: blocker ?? statusWord(image.status) },
  ]
}

/** A full recycle bin has too many checks to show each: only those that block are listed. */
export function blockedOnly(found: readonly FoundImage[]): ChecklistItem[] {
  const blocked = found.flatMap(removalChecks).filter(({ passed }) => !passed)
  return blocked.length > 0 ? blocked : [{ label: 'Nothing blocks it', passed: true, detail: 'no image of it is protected or in use' }]
}

/** What frees the space of removed images. */
export function cleanupActions(records: readonly StoreRecord[]): Action[] {
  return records.map(({ name }) => ({ label: `Clean up ${name}`, command: `store cleanup ${quoteWord(name)}`, role: 'operator', style: 'primary' }))
}

function statusBlocker({ status, statusReason }: Image): string | undefined {
  switch (status) {
    case 'creating':
      return `${statusWord(status)}; wait until it is Available or Error`
    case 'fileUnavailable':
      return `${statusWord(status)}${statusReason === null ? '' : ` (${statusReason})`}; wait until the store can read its mount path again`
    // Deleting it cancels the upload.
    case 'uploading':
    case 'pending':
    case 'available':
    case 'degraded':
    case 'error':
    case 'deleted':
    case 'deleting':
      return undefined
  }
}
