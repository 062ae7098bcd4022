// A store that imports: its catalogue, uploads, tasks and imports, on a real disk, without HTTP.

import { join } from 'node:path'
import { createImageRules } from '../../../agent/images/records/image-rules.ts'
import { createImports } from '../../../agent/imports/imports.ts'
import type { ImportOrder, Imports } from '../../../agent/imports/imports.ts'
import type { ImportScheme } from '../../../agent/imports/source.ts'
import type { TaskBoard } from '../../../agent/contract/work.ts'
import { CUTTER_DEFAULT } from '../../../agent/slices/packs/parameters.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { createSpace } from '../../../agent/system/space.ts'
import type { UploadsDeps } from '../../../agent/uploads/context.ts'
import { openUploads } from '../../../agent/uploads/uploads.ts'
import type { Uploads } from '../../../agent/uploads/uploads.ts'
import type { Task } from '../../../protocol/task.ts'
import { openImageStore } from '../images/image-store.ts'
import type { ImageStore, ImageStoreOptions } from '../images/image-store.ts'
import { createMemoryTasks } from '../memory/memory-state.ts'
import { createMemoryVisibility } from '../memory/memory-visibility.ts'
import { createMemoryPublisher } from '../memory/memory-publisher.ts'
import { createTemporaryFolder } from '../machine/temporary-folder.ts'

/** A clock under which waits before further attempts are short. */
export const HASTY_CLOCK = { ...systemClock, sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(Math.min(ms, 5), signal) }

export interface ImportStore extends AsyncDisposable {
  readonly store: ImageStore
  readonly uploads: Uploads
  readonly tasks: TaskBoard
  readonly imports: Imports
  /** Starts an import and resolves with its task when it has ended. */
  import(order: Partial<ImportOrder> & Pick<ImportOrder, 'location'>): Promise<Task>
}

export interface ImportStoreOptions extends ImageStoreOptions {
  readonly schemes: readonly ImportScheme[]
  readonly uploads?: Partial<UploadsDeps>
}

/** Returns an order with the defaults of tests. */
export function orderOf(order: Partial<ImportOrder> & Pick<ImportOrder, 'location'>): ImportOrder {
  return {
    credentials: {},
    origin: 'url',
    draft: { name: 'imported', description: '' },
    creator: { name: 'ann', tokenId: 'tok_ann', role: 'operator' },
    ...order,
  }
}

/** Opens a store in a temporary folder. */
export async function openImportStore(options: ImportStoreOptions): Promise<ImportStore> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  let uploads: Uploads | undefined
  const store = stack.use(
    await openImageStore(folder, {
      ...options,
      roots: [{ list: () => uploads?.roots.list() ?? [] }],
      expected: () => uploads?.expectedImages() ?? [],
    }),
  )
  const disk = createDisk()
  const clock = HASTY_CLOCK
  const tasks = createMemoryTasks(systemClock)
  const space = options.uploads?.space ?? createSpace({ disk, clock, mount: store.mount, reservedBytes: () => 0 })
  uploads = stack.use(
    await openUploads({
      disk,
      clock: systemClock,
      log: store.log,
      slices: store.slices,
      cutter: CUTTER_DEFAULT,
      publisher: store.catalogue,
      space,
      folder: join(store.mount, 'uploads'),
      expiryMs: 86_400_000,
      maxLength: 1e12,
      concurrency: 1,
      visibility: createMemoryVisibility(createMemoryPublisher(), new Set()),
      gate: { requireEnabled() {} },
      admit: store.catalogue.admit,
      isTaskActive: (id) => tasks.get(id)?.endedAt === null,
      links: { claim: async () => true, release() {}, settle() {} },
      emit: (event) => void store.events.push(event),
      crashPoint() {},
      random: (length) => crypto.getRandomValues(new Uint8Array(length)),
      ...options.uploads,
    }),
  )
  const imports = createImports({
    clock,
    log: store.log,
    uploads: uploads.internal,
    images: store.catalogue,
    tasks,
    space,
    gate: { requireEnabled() {} },
    rules: createImageRules({ installationRole: 'admin' }),
    schemes: options.schemes,
    limits: { lengthMax: options.uploads?.maxLength ?? 1e12, imagesPerOwnerMax: options.imagesPerOwnerMax ?? 0, bytesPerOwnerMax: 0 },
    crashPoint() {},
    random: (length) => crypto.getRandomValues(new Uint8Array(length)),
  })
  const owned = stack.move()
  return {
    store,
    uploads,
    tasks,
    imports,
    async import(order) {
      const { id } = await imports.start(orderOf(order))
      return tasks.ended(id)
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
