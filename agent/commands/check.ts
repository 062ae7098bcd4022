// check: whether every image and every unfinished upload has all its slices, told from the index database without
// reading them. Fast enough to be run after each move of a store.

import { errorText } from '../../protocol/errors.ts'
import type { Config } from '../config.ts'
import type { SliceIngester, SliceRoot } from '../contract/slices.ts'
import { withStore } from './maintenance.ts'

/** Digests that are looked up at a time. */
const LOOKUP_MAX = 4096

/** Ends with 1 when something lacks slices or cannot be read. */
export function checkStore(config: Config): Promise<number> {
  return withStore(config, {}, async ({ slices, catalogue, uploads }) => {
    let rootCount = 0
    let badCount = 0
    for (const roots of [uploads.roots, catalogue.roots]) {
      for await (const root of roots.list()) {
        rootCount++
        const fault = await faultOf(root, slices)
        if (fault === undefined) continue
        badCount++
        process.stdout.write(`${root.name}: ${fault}. Sync it again from a store that has it.\n`)
      }
    }
    const fault = await slices.indexFault()
    if (fault !== undefined) process.stdout.write(`The index database is damaged: ${fault}. Run recover.\n`)
    process.stdout.write(`${rootCount} images and uploads looked at, ${badCount} with missing slices.\n`)
    return badCount > 0 || fault !== undefined ? 1 : 0
  })
}

async function faultOf(root: SliceRoot, slices: Pick<SliceIngester, 'missing'>): Promise<string | undefined> {
  let missing = 0
  let batch: Uint8Array[] = []
  try {
    for await (const { digest } of root.entries()) {
      if (digest) batch.push(digest)
      if (batch.length < LOOKUP_MAX) continue
      missing += slices.missing(batch).length
      batch = []
    }
  } catch (error) {
    return `cannot be read (${errorText(error)})`
  }
  const fault = root.fault?.()
  if (fault) return `cannot be read (${fault.reason})`
  missing += slices.missing(batch).length
  return missing > 0 ? `${missing} slices are missing` : undefined
}
