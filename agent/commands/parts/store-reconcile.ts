// Connects reconcile with the parts of a store, and knows every name at the top of a mount path.

import { isId } from '../../../protocol/ids.ts'
import type { Exports } from '../../contract/exports.ts'
import { GROUP_FILE } from '../../images/groups/group-file.ts'
import { RECORD_FOLDER } from '../../imports/existing/retrieve-existing.ts'
import { createReconcile } from '../../reconcile/reconcile.ts'
import type { Reconcile } from '../../reconcile/reconcile.ts'
import type { ServingDeps } from '../background.ts'
import { STORE_COPY, STORE_FILE, STORE_FOLDERS } from './store-file.ts'

/** Names at the top of a mount path beside the folders of every store (docs/format.md). */
const KNOWN_NAMES: ReadonlySet<string> = new Set([
  STORE_FILE,
  STORE_COPY,
  ...STORE_FOLDERS,
  GROUP_FILE,
  RECORD_FOLDER,
  'sync',
  '.ballast',
  '.ballast-gc',
  '.health-probe',
])

/** Registers the task `reconcile` of a store. */
export function openReconcile({ foundation, parts }: ServingDeps, exports: Exports): Reconcile {
  const { config, disk, clock, crashPoint } = foundation
  const { catalogue, events, slices, tasks, uploads } = parts
  return createReconcile({
    disk,
    clock,
    crashPoint,
    emit: events.emit,
    tasks,
    subject: config.store.name,
    mount: config.store.mount,
    isKnownTop: (name) => KNOWN_NAMES.has(name) || /^lease\.\d+\.json$/.test(name),
    hasImage: (id) => isId('img', id) && catalogue.named(id).length > 0,
    hasUpload: (id) => isId('upl', id),
    images: catalogue,
    uploads,
    exports,
    missing: (digests, lengths) => slices.missing(digests, lengths),
    lostPacks: () => slices.lostPacks(),
  })
}
