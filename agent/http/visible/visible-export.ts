// Looks up the export of a request for its caller, who may do with it what it may do with its image.

import { roleIncludes } from '../../../protocol/access.ts'
import type { Export } from '../../../protocol/images/export.ts'
import type { Right } from '../../../protocol/images/grant.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { problem } from '../../../protocol/problems.ts'
import { isVisible } from '../../access/readable.ts'
import type { Actor } from '../../contract/access.ts'
import type { Exports } from '../../contract/exports.ts'
import { visibleImage } from './visible-image.ts'
import type { ImageAccess, NamedImages } from './visible-image.ts'

/** What the look-up needs. */
export interface ExportLookup {
  readonly exports: Pick<Exports, 'find'>
  readonly images: NamedImages & { find(id: string): Image | undefined }
}

/** Whether an actor may see an export: as its image. The export of an image that no longer exists is for operators. */
export function isSeen(images: ExportLookup['images'], { id, image }: Export, actor: Actor): boolean {
  if (actor.link?.export !== undefined && actor.link.export !== id) return false
  const found = images.find(image)
  return found ? isVisible(found, actor) : roleIncludes(actor.link?.maker.role ?? actor.role, 'operator')
}

/** Returns an export for which an actor has a right. Throws ProblemError `not-found`, also for one that it may not see, and `forbidden`. */
export function visibleExport({ exports, images }: ExportLookup, id: string, actor: Actor, needed: Right | ImageAccess): Export {
  const found = exports.find(id)
  if (!found || !isSeen(images, found, actor)) throw problem('not-found', `There is no export ${id}.`)
  if (images.find(found.image)) visibleImage(images, found.image, actor, needed)
  return found
}
