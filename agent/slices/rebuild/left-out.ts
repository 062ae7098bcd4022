// Packs that could not be read when the index database was brought in step with them: the index does not know them, and they are tried again.

import type { PackName } from '../packs/pack-format.ts'
import type { UnsealedPack } from '../write/pack-writer.ts'
import { recoverLeftOut } from './recover.ts'
import type { RecoverDeps } from './recover.ts'

export interface LeftOut {
  add(name: PackName): void
  /** Tries again to read them. Calls that meet share one attempt. */
  retry(): Promise<void>
}

/** Those of the start; `abandon` takes packs that could be read and not be sealed. */
export function createLeftOut(deps: RecoverDeps, names: Iterable<PackName>, abandon: (pack: UnsealedPack) => void): LeftOut {
  const left = new Set(names)
  let running: Promise<void> | undefined
  const retryAll = async (): Promise<void> => {
    const tried = new Set(left)
    const taken = await recoverLeftOut(deps, tried)
    for (const name of tried) if (!taken.leftOut.has(name)) left.delete(name)
    for (const pack of taken.abandoned) abandon(pack)
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
