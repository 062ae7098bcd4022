// A store that copies images from other stores: its catalogue, its sync and its tasks.

import { createPeerNetwork } from '../../../agent/sync/peer-network.ts'
import { createSync } from '../../../agent/sync/sync.ts'
import type { Sync, SyncDeps } from '../../../agent/sync/sync.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { resolveName } from '../../../agent/system/network.ts'
import { createSpace } from '../../../agent/system/space.ts'
import type { TaskBoard } from '../../../agent/contract/work.ts'
import type { Task } from '../../../protocol/task.ts'
import { openImageStore } from '../images/image-store.ts'
import type { ImageStore, ImageStoreOptions } from '../images/image-store.ts'
import { createMemoryProver } from '../memory/memory-prover.ts'
import { createMemoryTasks } from '../memory/memory-state.ts'
import { createTemporaryFolder } from '../machine/temporary-folder.ts'
import type { TemporaryFolder } from '../machine/temporary-folder.ts'

/** A clock under which retries follow at once. */
export const IMMEDIATE_CLOCK = { ...systemClock, sleep: async (): Promise<void> => {} }
/** UUID of the target. */
export const TARGET_ID = 'b5b3c2ad-5b1f-4f7f-8a86-0d7c3e0e6c21'

export interface SyncTarget extends AsyncDisposable {
  readonly store: ImageStore
  readonly sync: Sync
  readonly tasks: TaskBoard
  /** Runs a sync and waits for its end. */
  pull(url: string, images: string[], token?: string): Promise<Task>
}

export async function openSyncTarget(folder: TemporaryFolder, changes: Partial<SyncDeps> = {}, options: ImageStoreOptions = {}): Promise<SyncTarget> {
  const store = await openImageStore(folder, { ...options, roots: [{ list: () => sync.roots.list() }] })
  const { disk, log, mount, catalogue, slices } = store
  const tasks = createMemoryTasks(systemClock)
  const space = createSpace({ disk, clock: systemClock, mount, reservedBytes: () => 0 })
  const sync = await createSync({
    disk,
    clock: systemClock,
    log,
    mount,
    storeId: TARGET_ID,
    prover: await createMemoryProver(TARGET_ID),
    images: catalogue,
    slices,
    space,
    tasks,
    crashPoint: () => {},
    admitNew: () => {},
    network: createPeerNetwork([], resolveName),
    ...changes,
  })
  return {
    store,
    sync,
    tasks,
    async pull(url, images, token = 'viewer') {
      const { id } = await sync.start({ source: { url, token }, images }, 'test')
      return tasks.ended(id)
    },
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  }
}

/** Creates the folders of a source and of a target. */
export async function createTwoFolders(): Promise<{ source: TemporaryFolder; target: TemporaryFolder } & AsyncDisposable> {
  const source = await createTemporaryFolder()
  const target = await createTemporaryFolder()
  return {
    source,
    target,
    async [Symbol.asyncDispose]() {
      await source[Symbol.asyncDispose]()
      await target[Symbol.asyncDispose]()
    },
  }
}
