// The store as a whole: its name, whether it accepts new data, and small values that the agent stores about it.

import type { Image } from '../../protocol/images/image.ts'
import type { Store, StorePatch } from '../../protocol/store.ts'
import type { SyncHours } from '../../protocol/sync/sync-limits.ts'

/** Small JSON documents in the state folder, by key. Reads are cheap enough to repeat on every request. */
export interface KeptValues {
  /** Returns the document, or undefined if there is none. The caller validates it. */
  read(key: string): unknown
  /** Replaces the document; durable when it returns. */
  write(key: string, value: unknown): void
}

/** Decides whether the store accepts new images and uploads. Existing images are readable either way. */
export interface StoreGate {
  isEnabled(): boolean
  /** Throws ProblemError `store-disabled` with the reason if the store is disabled. */
  requireEnabled(): void
}

/** What deleting an image does: removes it immediately, keeps it in the recycle bin for `retentionMs`, or keeps it there forever. */
export interface DeletionPolicy {
  readonly deletion: 'immediate' | 'delayed' | 'never'
  readonly retentionMs: number
}

/** Limits of all syncs of the store. */
export interface SyncLimitSettings {
  /** Bytes per second of all syncs together; 0 for no limit. */
  readonly syncBytesPerSecond: number
  /** Windows in which syncs move bytes; none for all hours. */
  readonly syncHours: readonly SyncHours[]
}

/** Settings that operators change while the store is running. They survive a restart. */
export interface StoreSettings extends StoreGate {
  current(): Pick<Store, 'name' | 'description' | 'enabled' | 'disabledReason' | 'retention' | 'sync' | 'reserve' | 'kinds'> & {
    readonly imagesEnabled: boolean
  }
  /** Whether images are switched on. While they are off, the store accepts no new images, whether it is enabled or not. */
  areImagesEnabled(): boolean
  /** What deleting an image does now: what operators set, else what the configuration says. */
  deletionPolicy(): DeletionPolicy
  /** Kinds of images that the store takes now; none for all kinds. */
  acceptedKinds(): readonly Image['kind'][]
  /** Bytes of the mount path that uploads and syncs never use, now. */
  reservedBytes(): number
  /** Uploads that may put bytes into slices at the same time, now. */
  uploadConcurrency(): number
  /** Limits of all syncs now: what operators set, else what the configuration says. */
  syncLimits(): SyncLimitSettings
  update(patch: StorePatch): void
  enable(): void
  disable(reason: string): void
}
