// Scenarios that reach the crash points, by the name of the point.

import { heal, pauseSync, readThrough, sync, syncWithGrant } from './copies.ts'
import { collect, deleteExport, exportOnce, hideGroup, purge, reconcile, remove } from './images.ts'
import { existing, importImage, inbox, refused } from './imports.ts'
import type { Scenario } from './stage.ts'
import { fillPack, revokeLink, settling, splice, unpack, upload, uploadByLink, uploadSlices } from './uploads.ts'

export type Scenarios = Readonly<Record<string, Scenario>>

/** The points of uploads, packs and images. */
export const STORE_SCENARIOS: Scenarios = {
  'uploads:created': upload,
  'uploads:slices-synced': uploadSlices,
  'uploads:before-journal': upload,
  'uploads:after-journal': upload,
  'uploads:before-splice': splice,
  'uploads:spliced': splice,
  'uploads:before-publish': upload,
  'uploads:after-publish': upload,
  'uploads:before-link-completed': uploadByLink,
  'links:claimed': uploadByLink,
  'links:revoked': revokeLink,
  'packs:appended': upload,
  'packs:synced': upload,
  'packs:sealed': fillPack,
  'packs:created': collect,
  'images:manifest-written': upload,
  'images:image-written': upload,
  'images:inspected': settling,
  'images:digest-written': settling,
  'images:unpack-step': unpack,
  'images:unpack-written': unpack,
  'images:unpacked': unpack,
  'images:groups-written': hideGroup,
  'images:deleted': remove,
  'images:purge-marked': purge,
  'images:purge-manifest-removed': purge,
  'images:purge-removed': purge,
  'usage:recorded': purge,
  'gc:marked': collect,
  'gc:swept': collect,
  'gc:moved': collect,
  'gc:before-remove': collect,
  'gc:removed': collect,
}

/** The points of exports, syncs, imports and tasks. */
export const TASK_SCENARIOS: Scenarios = {
  'exports:recorded': exportOnce,
  'exports:written': exportOnce,
  'exports:name-taken': exportOnce,
  'exports:renamed': exportOnce,
  'exports:ready': exportOnce,
  'exports:delete-marked': deleteExport,
  'exports:file-removed': deleteExport,
  'sync:lease-acquired': sync,
  'sync:batch-synced': sync,
  'sync:slices-moved': sync,
  'sync:adopted': sync,
  'partners:kept': syncWithGrant,
  'heal:slices-stored': heal,
  'through:lease-acquired': readThrough('through:lease-acquired'),
  'through:adopted': readThrough('through:adopted'),
  'inbox:ticket-written': inbox,
  'inbox:set-aside': inbox,
  'inbox:removed': inbox,
  'inbox:reason-written': refused,
  'existing:recorded': existing,
  'imports:declared': importImage,
  'imports:published': importImage,
  'reconcile:applied': reconcile,
  'tasks:kept': sync,
  'tasks:done': sync,
  'tasks:ended': sync,
  'tasks:paused': pauseSync,
}
