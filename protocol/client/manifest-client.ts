// Reads a manifest from another agent, piece by piece.

import { AnswerInvalid } from './exchange.ts'
import type { Answer, AnswerFault, Peer } from './exchange.ts'
import { decodeManifestHeader, MANIFEST_HEADER_BYTES, ManifestInvalid, manifestLength } from '../slices/manifest.ts'
import { problem } from '../problems.ts'
import type { ProblemError } from '../problems.ts'

/**
 * Returns the bytes of a manifest: first its header, which is verified, then as many as the header says. Sends the request when the first bytes
 * are wanted: a refusal before that would be an unhandled rejection, which ends the process. Throws `peer-unreachable`.
 */
export async function* readManifest(peer: Peer, ask: () => Promise<Answer>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const invalid = (fault: AnswerFault, why: string, cause?: unknown): ProblemError =>
    problem('peer-unreachable', `${peer.baseUrl} sent a manifest that is not valid: ${why}.`, {}, { cause: new AnswerInvalid(fault, why, { cause }) })
  const header = new Uint8Array(MANIFEST_HEADER_BYTES)
  let length: number | undefined
  let received = 0
  for await (const piece of (await ask()).body()) {
    let rest = piece
    if (length === undefined) {
      const part = piece.subarray(0, MANIFEST_HEADER_BYTES - received)
      header.set(part, received)
      received += part.byteLength
      rest = piece.subarray(part.byteLength)
      if (received < MANIFEST_HEADER_BYTES) continue
      try {
        length = manifestLength(decodeManifestHeader(header).count)
      } catch (error) {
        throw error instanceof ManifestInvalid ? invalid('bad-manifest', error.message, error) : error
      }
      yield header
    }
    received += rest.byteLength
    if (received > length) throw invalid('too-long', `it is longer than the ${length} bytes that its header declares`)
    if (rest.byteLength > 0) yield rest
  }
  if (received !== length) throw invalid('truncated', 'it ends early')
}
