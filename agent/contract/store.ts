// The store as a whole: its name, whether it takes new data, and small values that the agent keeps beside it.

import type { StorePatch } from '../../protocol/store.ts'

/** Small JSON documents in the state folder, by key. Reading is from memory or nearly so. */
export interface KeptValues {
  /** The document, or undefined when there is none; checked by the reader. */
  read(key: string): unknown
  /** Replaces the document; durable when it returns. */
  write(key: string, value: unknown): void
}

/** Whether the store takes new images and uploads. What is in it stays readable in either case. */
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
