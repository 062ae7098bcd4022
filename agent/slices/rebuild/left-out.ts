// Packs that could not be read when the store was opened or the index rebuilt. The index does not have them; they are tried again later.

import type { PackName } from '../packs/pack-format.ts'
import type { UnsealedPack } from '../write/seal-packs.ts'
import { recoverLeftOut } from './recover.ts'
import type { RecoverDeps } from './recover.ts'

export interface LeftOut {
  add(name: PackName): void
  /** Tries to read the packs again. Calls that overlap share one attempt. */
  retry(): Promise<void>
}

/** Starts with the packs that recovery could not read; `abandon` is given packs that could be read but not sealed. */
export function createLeftOut(deps: RecoverDeps, names: Iterable<PackName>, abandon: (pack: UnsealedPack) => void): LeftOut {
  const left = new Set(names)
  let running: Promise<void> | undefined
  const retryAll = async (): Promise<void> => {
    const tried = new Set(left)
    const { leftOut, abandoned } = await recoverLeftOut(deps, tried)
    for (const name of tried) if (!leftOut.has(name)) left.delete(name)
    for (const pack of abandoned) abandon(pack)
  }
  return {
    add: (name) => void left.add(name),
    retry() {
      if (left.size === 0) return Promise.resolve()
      running ??= retryAll().finally(() => (running = undefined))
      return running
    },
  }
}
