// What a form of the page must fulfil before the agent does what it asks: it comes from a page of this agent, and it is short.

import { joinBytes } from '../../../protocol/bytes.ts'
import { problem } from '../../../protocol/problems.ts'
import { publicOrigin } from '../public-origin.ts'

/** The media type of a form. */
export const FORM_MEDIA_TYPE = 'application/x-www-form-urlencoded'
/** Longest form in bytes: the longest token, percent-encoded, and what else the form has. */
export const FORM_LENGTH_MAX = 8 * 1024

/**
 * Throws ProblemError `forbidden` for a form of another site. Browsers say where a form comes from: with Sec-Fetch-Site where the connection is trustworthy,
 * else with Origin. A program that sends neither has no cookie that somebody else could use.
 */
export function requireOwnForm(request: Request): void {
  const site = request.headers.get('sec-fetch-site')
  const origin = request.headers.get('origin')
  const isOwn = site === null ? origin === null || URL.parse(origin)?.host === new URL(publicOrigin(request)).host : site === 'same-origin'
  if (isOwn) return
  throw problem('forbidden', 'This form comes from another site. Nothing was done.', {
    action: 'Open the page of the agent and try again. If a proxy is in front of the agent, it must pass Host or X-Forwarded-Host on.',
  })
}

/** Returns the fields of a form; of fields with the same name, the last. Throws ProblemError `unsupported-media-type` or `payload-too-large`. */
export async function readForm(request: Request): Promise<ReadonlyMap<string, string>> {
  const type = request.headers.get('content-type') ?? ''
  const tooLong = () => problem('payload-too-large', `The form is longer than the limit of ${FORM_LENGTH_MAX} bytes.`)
  if (!/^application\/x-www-form-urlencoded\s*(?:;|$)/i.test(type)) throw problem('unsupported-media-type', `The body must be ${FORM_MEDIA_TYPE}.`)
  if (Number(request.headers.get('content-length') ?? 0) > FORM_LENGTH_MAX) throw tooLong()
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of request.body ?? []) {
    length += piece.byteLength
    if (length > FORM_LENGTH_MAX) throw tooLong()
    pieces.push(piece)
  }
  return new Map(new URLSearchParams(new TextDecoder().decode(joinBytes(pieces))))
}
