// Content-Digest and Repr-Digest (RFC 9530): the digests of the bytes of one request, and of the whole upload.

import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'
import type { ImageDraft } from '../../protocol/images/image.ts'
import { decodeBase64 } from './body/checksum.ts'
import type { Checksum } from './body/checksum.ts'
import type { UploadsContext } from './context.ts'
import { writeUploadFile } from './record/upload-file.ts'
import type { Upload } from './record/upload.ts'

/** Active algorithms of RFC 9530 §7.2 with the length of their digests in bytes; the first one that a header has is verified. */
const ALGORITHMS = [
  { key: 'sha-256', name: 'sha256', length: 32 },
  { key: 'sha-512', name: 'sha512', length: 64 },
] as const

type Algorithm = (typeof ALGORITHMS)[number]

/** A member of a dictionary whose value is a byte sequence (RFC 9651 §3.2, §3.3.5); its parameters are ignored. */
const MEMBER = /^([a-z*][a-z0-9_\-.*]*)=:([A-Za-z0-9+/=]*):(?:;.*)?$/

/** Parses the digest of a request's body. Throws `invalid-input` when the header has none that can be verified. */
export function parseContentDigest(header: string): Checksum {
  const found = strongest('Content-Digest', header, ALGORITHMS)
  return { algorithm: found.algorithm.name, expected: found.digest, field: 'Content-Digest' }
}

/** Parses the digest of the whole upload, `sha256:` and hex. Throws `invalid-input` when the header has no SHA-256. */
export function parseReprDigest(header: string): string {
  const { digest } = strongest('Repr-Digest', header, [ALGORITHMS[0]])
  return `sha256:${digest.toHex()}`
}

/** Returns the draft of an image with its expected digest. Throws `invalid-input` when it already has another one. */
export function expectDigest(draft: ImageDraft, digest: string | undefined): ImageDraft {
  if (digest === undefined || draft.digest === digest) return draft
  if (draft.digest !== undefined) throw problem('invalid-input', `Repr-Digest is ${digest}, but the upload already expects ${draft.digest}.`)
  return { ...draft, digest }
}

/** Returns the refusal of a Repr-Digest for a part, which becomes no image whose digest could be compared. */
export function refusePartDigest(): ProblemError {
  return problem('invalid-input', 'Repr-Digest does not apply to a part. Send it with the final upload, or use Content-Digest.')
}

/** Sets the expected digest of the whole upload; durable when it resolves. */
export async function declareDigest(context: UploadsContext, upload: Upload, digest: string | undefined): Promise<void> {
  const { file } = upload
  if (digest === undefined || file.draft?.digest === digest) return
  if (file.draft === null) throw refusePartDigest()
  if (file.publishedAtMs !== null) throw problem('invalid-input', 'The upload is already an image; Repr-Digest must be sent before the last byte.')
  const declared = { ...file, draft: expectDigest(file.draft, digest) }
  await writeUploadFile(context.disk, context.folder, declared)
  upload.file = declared
}

function strongest<Known extends Algorithm>(field: string, header: string, known: readonly Known[]): { algorithm: Known; digest: Uint8Array } {
  const members = new Map<string, string>()
  for (const part of header.split(',')) {
    const [, key, value] = MEMBER.exec(part.trim()) ?? []
    if (key === undefined || value === undefined) throw problem('invalid-input', `${field} must be a list of digests such as sha-256=:…: (RFC 9530).`)
    members.set(key, value)
  }
  const algorithm = known.find(({ key }) => members.has(key))
  if (!algorithm) throw problem('invalid-input', `${field} has no digest of a supported algorithm; send ${known.map(({ key }) => key).join(' or ')}.`)
  const digest = decodeBase64(members.get(algorithm.key) ?? '')
  if (digest?.byteLength !== algorithm.length) {
    throw problem('invalid-input', `${field}: the value of ${algorithm.key} must be ${algorithm.length} bytes in Base64.`)
  }
  return { algorithm, digest }
}
