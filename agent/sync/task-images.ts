// The images of one sync task, each with what became of it. They are shown while the task runs, and are its result when it has ended.

import type { Problem } from '../../protocol/problems.ts'
import type { SyncImage } from '../../protocol/sync/sync.ts'

/** What a sync did with an image that it did not fail to copy. */
export type ImageEnd = Pick<SyncImage, 'outcome' | 'sameAs'> & { readonly bytesMoved: number; readonly bytesPresent: number; readonly bytesZero: number }

/** One image of a task. */
export interface TaskImage {
  /** Called when the source has described the image. */
  described(id: string, name: string): void
  /** Called when the copy begins, and with the uncompressed bytes that are stored, and that are missing in total. */
  moved(done: number, total: number): void
  ended(end: ImageEnd): void
  /** Called when the request names the same image twice. */
  dropped(): void
  failed(error: Problem): void
}

export interface TaskImages {
  add(idOrName: string): TaskImage
  list(): SyncImage[]
  /** Returns the images that could not be copied. */
  failures(): readonly { readonly name: string; readonly error: Problem }[]
}

export function createTaskImages(): TaskImages {
  const images = new Map<number, SyncImage>()
  let added = 0
  return {
    add(idOrName) {
      const at = added++
      let image: SyncImage = { id: idOrName, name: idOrName, outcome: 'queued' }
      const change = (members: Partial<SyncImage>): void => {
        image = { ...image, ...members }
        images.set(at, image)
      }
      change({})
      return {
        described: (id, name) => change({ id, name }),
        moved: (done, total) => change({ outcome: 'running', progress: { done, total } }),
        ended: (end) => change(end),
        dropped: () => void images.delete(at),
        failed: (error) => change({ outcome: 'failed', error }),
      }
    },
    list: () => [...images.values()],
    failures: () => [...images.values()].flatMap(({ name, error }) => (error ? [{ name, error }] : [])),
  }
}
