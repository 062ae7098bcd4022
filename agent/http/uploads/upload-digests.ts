// Reads the digests that a request declares: Upload-Checksum of tus, Content-Digest and Repr-Digest of RFC 9530.

import { problem } from '../../../protocol/problems.ts'
import { parseChecksum } from '../../uploads/body/checksum.ts'
import type { Checksum } from '../../uploads/body/checksum.ts'
import { parseContentDigest, parseReprDigest } from '../../uploads/digest-fields.ts'

/** Returns the declared digests of the body and of the complete upload. Throws `invalid-input` for a digest that cannot be verified. */
export function readDigests({ headers }: Request): { readonly checksum: Checksum | undefined; readonly digest: string | undefined } {
  const checksum = headers.get('upload-checksum')
  const content = headers.get('content-digest')
  const whole = headers.get('repr-digest')
  if (checksum !== null && content !== null) throw problem('invalid-input', 'Upload-Checksum and Content-Digest have the same purpose; send only one of them.')
  const ofBody = checksum !== null ? parseChecksum(checksum) : content !== null ? parseContentDigest(content) : undefined
  return { checksum: ofBody, digest: whole === null ? undefined : parseReprDigest(whole) }
}
