// Exports as routes use them: images written as files into exports/ on the mount path.

import type { ConversionTarget, Export, ExportPlan } from '../../protocol/images/export.ts'
import type { Image } from '../../protocol/images/image.ts'
import type { Task } from '../../protocol/task.ts'

export interface ExportOrder {
  readonly image: Image
  /** Converts the image; undefined exports its file as it was uploaded. */
  readonly as?: ConversionTarget | undefined
  readonly createdBy: string
}

export interface Exports {
  /**
   * Starts to export an image; the record of the export is durable when it resolves. Throws ProblemError `already-exported` while the image has an
   * export, `insufficient-storage` when the file does not fit above the reserve, and `limit-reached`.
   */
  start(order: ExportOrder, signal?: AbortSignal): Promise<Task>
  /** Returns what `start` would do, and changes nothing. Throws ProblemError when the image cannot be converted. */
  plan(order: Omit<ExportOrder, 'createdBy'>, signal?: AbortSignal): Promise<ExportPlan>
  /** Returns all exports, oldest first. */
  list(): readonly Export[]
  find(id: string): Export | undefined
  /** Deletes the file and the record; the image can then be exported again. Throws ProblemError `not-found`, or `wrong-status` while it is written. */
  delete(id: string, actor: string): Promise<void>
}
