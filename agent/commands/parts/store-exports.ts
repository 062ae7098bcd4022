// The exports of a store, and the converter that they and the routes of content share.

import type { Exports } from '../../contract/exports.ts'
import type { ImageConverter } from '../../contract/convert.ts'
import { createConverter } from '../../convert/converter.ts'
import { openExports } from '../../exports/exports.ts'
import type { Foundation } from './foundation.ts'
import type { StoreParts } from './store-parts.ts'

export interface StoreExports {
  readonly exports: Exports
  readonly converter: ImageConverter
}

/** Removes what a crash left of exports, and registers their task. To be called before tasks run. */
export async function openStoreExports({ config, disk, clock, log, crashPoint }: Foundation, parts: StoreParts): Promise<StoreExports> {
  const { catalogue, events, slices, space, tasks } = parts
  const converter = createConverter({ slices, clock })
  const exports = await openExports({
    disk,
    clock,
    log: log.child({ part: 'exports' }),
    emit: events.emit,
    crashPoint,
    mount: config.store.mount,
    images: catalogue,
    converter,
    space,
    tasks,
  })
  return { exports, converter }
}
