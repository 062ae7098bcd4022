// The file of an image in the store, as the readers of the formats see it.

import type { Manifest } from '../../protocol/slices/manifest.ts'
import { createLoopBudget } from '../contract/loop-budget.ts'
import type { Clock } from '../contract/runtime.ts'
import type { SliceProvider } from '../contract/slices.ts'
import { JOINED_BYTES_ENOUGH } from './guest-disk.ts'
import type { SourceFile, SourceRun } from './guest-disk.ts'

/** Returns the file that a manifest describes. */
export function openSourceFile(slices: Pick<SliceProvider, 'read'>, manifest: Manifest, clock: Pick<Clock, 'monotonicMs' | 'sleep'>): SourceFile {
  return {
    length: manifest.imageLength,
    read: (start, end, signal) => slices.read(manifest, start, end, signal),
    async *runs(from) {
      if (from >= manifest.imageLength) return
      const budget = createLoopBudget(clock)
      let run: SourceRun | undefined
      for await (const block of manifest.blocks(await manifest.find(from))) {
        await budget.spend()
        for (let i = block.first; i < block.first + block.count; i++) {
          const start = block.offsetAt(i)
          const end = start + block.lengthAt(i)
          const isZero = block.isZeroAt(i)
          if (run?.isZero === isZero && run.end - run.start < JOINED_BYTES_ENOUGH) {
            run = { start: run.start, end, isZero }
            continue
          }
          if (run) yield run
          run = { start, end, isZero }
        }
      }
      if (run) yield run
    },
  }
}
