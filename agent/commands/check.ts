// check: looks up every slice of every image and unfinished upload in the index database, without reading the slices. Fast
// enough to run after each move of a store.

import { errorText } from '../../protocol/errors.ts'
import type { Config } from '../config.ts'
import type { SliceIngester, SliceRoot } from '../contract/slices.ts'
import { withStore } from './maintenance.ts'

/** Digests looked up at a time. */
const LOOKUP_MAX = 4096

/** Runs the check. Returns 1 when slices are missing, a manifest cannot be read, or the index is damaged. */
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
    process.stdout.write(`${rootCount} images and uploads checked, ${badCount} with missing slices.\n`)
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
