// Images together with the health of their store: while the mount path fails, none is shown as available.

import type { AgentClient } from '../../../../protocol/client/agent-client.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { failureOf } from '../../../fleet/store-failure.ts'
import type { StoreFailure } from '../../../fleet/store-failure.ts'
import type { StoreRecord } from '../../../fleet/registry.ts'

export interface ImagesAnswer {
  readonly images: readonly Image[]
  /** What is wrong with the store, when its health is `error`. */
  readonly storeFailure: StoreFailure | undefined
}

/** Reads images and the health of their store in parallel. Throws what `read` throws. */
export async function withHealth(agent: AgentClient, store: StoreRecord, read: Promise<readonly Image[]>): Promise<ImagesAnswer> {
  const [images, storeFailure] = await Promise.all([read, failureOf(agent, store)])
  return { images: storeFailure?.isUnreadable ? images.map(unreadable) : images, storeFailure }
}

/** The image as it is while no file of its store can be read. One in the recycle bin stays there. */
function unreadable(image: Image): Image {
  if (image.status === 'deleted' || image.status === 'fileUnavailable') return image
  return { ...image, status: 'fileUnavailable', statusReason: 'The store cannot read its mount path.' }
}
