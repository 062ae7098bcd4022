// Looks for exports whose image is gone, and for exports whose file is gone.

import { join } from 'node:path'
import type { Disk } from '../contract/disk.ts'
import type { Exports } from '../contract/exports.ts'
import { findingOf } from './finding.ts'
import type { FoundFinding } from './finding.ts'

export interface ExportSearchDeps {
  readonly disk: Disk
  readonly mount: string
  readonly exports: Pick<Exports, 'list' | 'delete'>
  readonly hasImage: (id: string) => boolean
}

/** Yields findings among exports that are complete. The image of an export in the recycle bin still exists. */
export async function* findExports({ disk, mount, exports, hasImage }: ExportSearchDeps): AsyncGenerator<FoundFinding> {
  for (const { id, image, imageName, path, length, state, readyAt } of exports.list()) {
    if (state !== 'ready') continue
    const hasFile = (await disk.stat(join(mount, path))) !== undefined
    if (hasFile && hasImage(image)) continue
    const finding = findingOf({
      kind: hasFile ? 'exportWithoutImage' : 'exportWithoutFile',
      target: id,
      what: hasFile ? `The image ${imageName} of the export ${path} does not exist any more.` : `The file ${path} of the export of image ${imageName} is gone.`,
      bytes: hasFile ? length : 0,
      sinceMs: readyAt === null ? null : Date.parse(readyAt),
      action: 'remove',
      effect: hasFile
        ? `Deletes the export with its file and frees up to ${length} bytes.`
        : 'Deletes the record of the export; the image can then be exported again.',
      essence: `${image} ${readyAt}`,
    })
    yield {
      finding,
      async run(actor) {
        await exports.delete(id, actor)
        return hasFile ? 'The export was deleted.' : 'The record was deleted.'
      },
    }
  }
}
