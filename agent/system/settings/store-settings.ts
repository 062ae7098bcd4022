// Settings of a store that operators may change while it runs. They are in the state folder, so that a store whose mount path hangs can
// still be disabled.

import { z } from 'zod'
import { imageKindSchema } from '../../../protocol/images/image.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { problem } from '../../../protocol/problems.ts'
import { deletionSchema } from '../../../protocol/store.ts'
import { syncHoursSchema } from '../../../protocol/sync/sync-limits.ts'
import type { SyncHours } from '../../../protocol/sync/sync-limits.ts'
import type { DeletionPolicy, KeptValues, StoreSettings, SyncLimitSettings } from '../../contract/store.ts'

/** Under which the settings are kept. */
export const SETTINGS_KEY = 'store-settings'

const keptSchema = z.object({
  /** Null while the name of the configuration applies. */
  name: z.string().nullable().default(null),
  description: z.string().nullable().default(null),
  /** Null while the store is enabled. */
  disabledReason: z.string().nullable().default(null),
  /** Null while images.enabled of the configuration applies. */
  imagesEnabled: z.boolean().nullable().default(null),
  /** Null while images.deletion and images.retention of the configuration apply. */
  deletion: deletionSchema.nullable().default(null),
  retentionSeconds: z.number().nullable().default(null),
  /** Null while sync.bytes-per-second and sync.hours of the configuration apply. */
  syncBytesPerSecond: z.number().nullable().default(null),
  syncHours: z.array(syncHoursSchema).nullable().default(null),
  /** Null while store.reserved of the configuration applies. */
  reservedBytes: z.number().nullable().default(null),
  /** Null while images.kinds of the configuration applies. */
  kinds: z.array(imageKindSchema).nullable().default(null),
  /** Null while transfer.upload-concurrency of the configuration applies. */
  uploadConcurrency: z.number().nullable().default(null),
})
type Kept = z.output<typeof keptSchema>

export interface StoreSettingsDeps {
  readonly kept: KeptValues
  /** Values of the configuration, which apply until a PATCH changes them. */
  readonly configured: {
    readonly name: string
    readonly description: string
    readonly imagesEnabled: boolean
    readonly reservedBytes: number
    /** Kinds of images that the store takes; all without it. */
    readonly kinds?: readonly Image['kind'][]
    /** 1 without it. */
    readonly uploadConcurrency?: number
  } & DeletionPolicy &
    Partial<SyncLimitSettings>
}

/** Opens the settings of a store. */
export function openStoreSettings({ kept, configured }: StoreSettingsDeps): StoreSettings {
  let state: Kept = keptSchema.parse(kept.read(SETTINGS_KEY) ?? {})
  const save = (next: Kept): void => {
    kept.write(SETTINGS_KEY, next)
    state = next
  }
  const areImagesEnabled = (): boolean => state.imagesEnabled ?? configured.imagesEnabled
  const deletionPolicy = (): DeletionPolicy => ({
    deletion: state.deletion ?? configured.deletion,
    retentionMs: state.retentionSeconds === null ? configured.retentionMs : state.retentionSeconds * 1000,
  })
  const configuredSync: SyncLimitSettings = { syncBytesPerSecond: configured.syncBytesPerSecond ?? 0, syncHours: configured.syncHours ?? [] }
  const syncLimits = (): SyncLimitSettings => ({
    syncBytesPerSecond: state.syncBytesPerSecond ?? configuredSync.syncBytesPerSecond,
    syncHours: state.syncHours ?? configuredSync.syncHours,
  })
  const reservedBytes = (): number => state.reservedBytes ?? configured.reservedBytes
  const configuredKinds = configured.kinds ?? []
  const acceptedKinds = (): readonly Image['kind'][] => state.kinds ?? configuredKinds
  return {
    reservedBytes,
    acceptedKinds,
    uploadConcurrency: () => state.uploadConcurrency ?? configured.uploadConcurrency ?? 1,
    areImagesEnabled,
    deletionPolicy,
    syncLimits,
    current: () => ({
      name: state.name ?? configured.name,
      description: state.description ?? configured.description,
      enabled: state.disabledReason === null,
      disabledReason: state.disabledReason,
      imagesEnabled: areImagesEnabled(),
      retention: { ...shown(deletionPolicy()), configured: shown(configured) },
      sync: { ...shownSync(syncLimits()), configured: shownSync(configuredSync) },
      reserve: { bytes: reservedBytes(), configured: configured.reservedBytes },
      kinds: { accepted: [...acceptedKinds()], configured: [...configuredKinds] },
    }),
    update: ({ name, description, imagesEnabled, retention = {}, sync = {}, reserved, kinds, transfer = {} }) =>
      save({
        ...state,
        name: name ?? state.name,
        description: description ?? state.description,
        imagesEnabled: imagesEnabled ?? state.imagesEnabled,
        deletion: retention.deletion === undefined ? state.deletion : retention.deletion,
        retentionSeconds: retention.seconds === undefined ? state.retentionSeconds : retention.seconds,
        syncBytesPerSecond: sync.bytesPerSecond === undefined ? state.syncBytesPerSecond : sync.bytesPerSecond,
        syncHours: sync.hours === undefined ? state.syncHours : sync.hours,
        reservedBytes: reserved === undefined ? state.reservedBytes : reserved,
        uploadConcurrency: transfer.uploadConcurrency === undefined ? state.uploadConcurrency : transfer.uploadConcurrency,
        kinds: kinds === undefined ? state.kinds : kinds && [...new Set(kinds)],
      }),
    enable: () => save({ ...state, disabledReason: null }),
    disable: (reason) => save({ ...state, disabledReason: reason }),
    isEnabled: () => state.disabledReason === null,
    requireEnabled() {
      if (state.disabledReason === null) return
      const reason = state.disabledReason === '' ? '' : `: ${state.disabledReason}`
      throw problem('store-disabled', `The store is disabled and accepts nothing new${reason}.`)
    },
  }
}

/** Returns limits of syncs as clients see them. */
function shownSync({ syncBytesPerSecond, syncHours }: SyncLimitSettings): { bytesPerSecond: number | null; hours: SyncHours[] } {
  return { bytesPerSecond: syncBytesPerSecond === 0 ? null : syncBytesPerSecond, hours: [...syncHours] }
}

/** Returns a policy as clients see it. */
function shown({ deletion, retentionMs }: DeletionPolicy): { deletion: DeletionPolicy['deletion']; seconds: number } {
  return { deletion, seconds: Math.round(retentionMs / 1000) }
}
