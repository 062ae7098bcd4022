// What tus and the resumable upload draft both answer at /v1/uploads, one function for each method.

import type { RouteContext } from './route.ts'

/** A request below /v1/uploads. */
export type UploadContext = Pick<RouteContext, 'request' | 'actor' | 'url' | 'inform'>

/** Path where uploads are created; each has its own address below it. */
export const UPLOADS_PATH = '/v1/uploads'

/** One protocol's side of the upload routes. Each function throws ProblemError in the words of its protocol. */
export interface UploadProtocol {
  /** POST on the collection. */
  create(context: UploadContext): Promise<Response>
  /** HEAD of one upload. */
  show(context: UploadContext, id: string): Promise<Response>
  /** PATCH of one upload. */
  append(context: UploadContext, id: string): Promise<Response>
  /** DELETE of one upload. */
  remove(context: UploadContext, id: string): Promise<Response>
}

/** The relative address of an upload. Whoever came by a link needs the link's query for every further request. */
export function uploadLocation({ actor, url }: UploadContext, id: string): string {
  return `${UPLOADS_PATH}/${id}${actor.link ? url.search : ''}`
}
