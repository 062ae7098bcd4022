// The store as a whole: its name, whether it accepts new data, and small values that the agent stores about it.

import type { StorePatch } from '../../protocol/store.ts'

/** Small JSON documents in the state folder, by key. Reading is from memory or nearly so. */
export interface KeptValues {
  /** Returns the document, undefined when there is none. The reader validates it. */
  read(key: string): unknown
  /** Replaces the document; durable when it returns. */
  write(key: string, value: unknown): void
}

/** Whether the store accepts new images and uploads. Existing images stay readable in either case. */
export interface StoreGate {
  isEnabled(): boolean
  /** Throws ProblemError `store-disabled` with the reason unless the store is enabled. */
  requireEnabled(): void
}

/** What operators may change about a store while it runs; survives a restart. */
export interface StoreSettings extends StoreGate {
  current(): { readonly name: string; readonly description: string; readonly enabled: boolean; readonly disabledReason: string | null }
  update(patch: StorePatch): void
  enable(): void
  disable(reason: string): void
}
