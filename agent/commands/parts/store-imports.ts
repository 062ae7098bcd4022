// Imports of a serving agent, and the parts that start them by themselves: the inbox, and the search for existing image files.

import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { createAddressGuard } from '../../imports/address-guard.ts'
import { openRetrieval, RECORD_FOLDER } from '../../imports/existing/retrieve-existing.ts'
import { createFileImport } from '../../imports/file-import.ts'
import { createFtpScheme } from '../../imports/ftp/ftp-scheme.ts'
import { createHttpScheme } from '../../imports/http/http-scheme.ts'
import { createImports } from '../../imports/imports.ts'
import type { Imports } from '../../imports/imports.ts'
import { openInbox } from '../../imports/inbox/inbox.ts'
import { openInboxFolder } from '../../imports/local/inbox-folder.ts'
import { createMountScheme, INBOX } from '../../imports/local/mount-scheme.ts'
import { createPathScheme } from '../../imports/local/path-scheme.ts'
import { openHostKeys } from '../../imports/sftp/host-keys.ts'
import type { HostKeys } from '../../imports/sftp/host-keys.ts'
import { createSftpScheme } from '../../imports/sftp/sftp-scheme.ts'
import { resolveName } from '../../system/network.ts'
import type { Foundation } from './foundation.ts'
import { imageRulesOf } from './image-policy.ts'
import { STORE_FOLDERS } from './store-file.ts'
import type { StoreParts } from './store-parts.ts'

interface ImportParts {
  readonly foundation: Foundation
  readonly parts: StoreParts
}

export interface StoreImports {
  readonly imports: Imports
  readonly hostKeys: HostKeys
}

/** Registers the task `import`. To be called before tasks run. */
export function openStoreImports({ foundation, parts }: ImportParts): StoreImports {
  const { config, clock, log, crashPoint } = foundation
  const guard = createAddressGuard({ allow: config.imports.allow, lookup: resolveName, ownAddresses })
  const { catalogue, events, kept, policy, space, tasks, uploads } = parts
  const hostKeys = openHostKeys({ kept, clock, emit: events.emit })
  const imports = createImports({
    clock,
    log: log.child({ part: 'imports' }),
    uploads: uploads.internal,
    images: catalogue,
    tasks,
    space,
    gate: policy,
    rules: imageRulesOf(config, parts.settings),
    schemes: [
      createHttpScheme({
        clock,
        guard,
        get concurrency() {
          return parts.settings.uploadConcurrency()
        },
      }),
      createFtpScheme(guard),
      createSftpScheme(guard, hostKeys),
      createPathScheme(config.imports.roots),
      createMountScheme(config.store.mount),
    ],
    limits: { lengthMax: config.uploads.lengthMax, imagesPerOwnerMax: config.images.maxPerOwner, bytesPerOwnerMax: config.images.maxBytesPerOwner },
    crashPoint,
    random,
  })
  return { imports, hostKeys }
}

/** Returns the addresses of this node, which may change while it runs. */
function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).map(({ address }) => address))
}

/**
 * Starts to import files of the mount path, as configured. To be called when tasks run. Disposing stops; the tasks in progress remain. An inbox that
 * cannot be used keeps no agent from serving.
 */
export async function openFoundFiles(deps: ImportParts, imports: Imports): Promise<AsyncDisposable> {
  try {
    return await watchFoundFiles(deps, imports)
  } catch (error) {
    deps.foundation.log.error('files on the mount path are not imported', { error })
    deps.parts.events.emit({
      type: 'inbox.unusable',
      severity: 'error',
      subject: INBOX,
      message: 'The inbox cannot be used, so its files are not imported. Correct what the log of the agent names, then restart the agent.',
    })
    return new AsyncDisposableStack()
  }
}

async function watchFoundFiles({ foundation, parts }: ImportParts, imports: Imports): Promise<AsyncDisposable> {
  const { config, disk, clock, log, crashPoint } = foundation
  const { catalogue, events, tasks } = parts
  const { mount } = config.store
  const common = { clock, emit: events.emit, crashPoint, random, removeImage: (id: string) => removeRefused(parts, id) }
  await using stack = new AsyncDisposableStack()
  if (config.imports.inboxSettleMs !== undefined) {
    const folder = await openInboxFolder(join(mount, INBOX), { disk, crashPoint })
    stack.use(
      await openInbox({
        ...common,
        folder,
        log: log.child({ part: 'inbox' }),
        settleMs: config.imports.inboxSettleMs,
        importFile: createFileImport({ imports, tasks, origin: 'inbox' }),
        findImage: (id) => catalogue.find(id),
      }),
    )
  }
  if (config.images.retrieveExisting) {
    stack.use(
      await openRetrieval({
        ...common,
        mount,
        disk,
        log: log.child({ part: 'existing' }),
        ownFolders: new Set([...STORE_FOLDERS, RECORD_FOLDER, 'sync']),
        importFile: createFileImport({ imports, tasks, origin: 'existing' }),
      }),
    )
  }
  const owned = stack.move()
  return { [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** Removes an image that was refused, so that only its file is left. */
async function removeRefused({ catalogue }: StoreParts, id: string): Promise<void> {
  if (catalogue.find(id)?.status === 'error') await catalogue.purge(id, 'inbox')
}

function random(length: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(length))
}
