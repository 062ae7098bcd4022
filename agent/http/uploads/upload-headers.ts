// The headers of tus and of the resumable upload draft, described for the OpenAPI document. No header is required by every request, since a request
// has only the headers of its own protocol. docs/tus.md says which headers go together.

import { SLICES_MEDIA_TYPE } from '../../../protocol/slices/frames.ts'
import { PARTIAL_MEDIA_TYPE } from './resumable-upload.ts'
import type { RouteHeader } from '../route.ts'
import { OFFSET_MEDIA_TYPE } from './tus.ts'

const BYTES = { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER } as const
const BOOLEAN = { type: 'string', enum: ['?0', '?1'] } as const
const BASE64 = '[A-Za-z0-9+/]+={0,2}'

const HEADERS = {
  version: { name: 'Tus-Resumable', description: 'Version of tus, required in every tus request', schema: { type: 'string', enum: ['1.0.0'] } },
  interop: {
    name: 'Upload-Draft-Interop-Version',
    description: 'Version of the resumable upload draft; a request with this header uses the draft',
    schema: { type: 'string' },
  },
  complete: {
    name: 'Upload-Complete',
    description: 'Draft: in a request, whether its body completes the upload; in an answer, whether the upload is complete (RFC 9651 boolean)',
    schema: BOOLEAN,
  },
  length: { name: 'Upload-Length', description: 'Length of the complete upload in bytes', schema: BYTES },
  deferLength: { name: 'Upload-Defer-Length', description: 'tus: a later PATCH sends the length', schema: { type: 'string', enum: ['1'] } },
  offset: { name: 'Upload-Offset', description: 'Number of durable bytes; in a request, the offset of the first byte of its body', schema: BYTES },
  metadata: {
    name: 'Upload-Metadata',
    description: 'tus: keys and base64 values, such as `filename ZGViaWFuLnJhdw==`; the keys are in docs/tus.md',
    schema: { type: 'string', maxLength: 16_384 },
  },
  concat: {
    name: 'Upload-Concat',
    description: 'tus: `partial`, or `final;` and the URLs of the parts',
    schema: { type: 'string', pattern: '^(?:partial|final;.+)$' },
  },
  checksum: {
    name: 'Upload-Checksum',
    description: 'tus: algorithm and base64 digest of the body',
    schema: { type: 'string', pattern: `^(?:sha1|sha256|md5|crc32) ${BASE64}$` },
  },
  contentDigest: { name: 'Content-Digest', description: 'Digest of the body (RFC 9530), sha-256 or sha-512', schema: { type: 'string' } },
  reprDigest: { name: 'Repr-Digest', description: 'Expected digest of the complete file (RFC 9530), sha-256', schema: { type: 'string' } },
  disposition: { name: 'Content-Disposition', description: 'Draft: file name of the upload (RFC 6266)', schema: { type: 'string' } },
  location: {
    name: 'Location',
    description: 'URL of the upload: in the data network if there is one, else relative',
    schema: { type: 'string', format: 'uri-reference' },
  },
  imageLocation: { name: 'Location', description: 'Relative URL of the content', schema: { type: 'string', format: 'uri-reference' } },
  image: {
    name: 'Content-Location',
    description: 'Relative URL of the image that was created from the upload, once the upload is complete',
    schema: { type: 'string', format: 'uri-reference' },
  },
  expires: { name: 'Upload-Expires', description: 'Time at which an unfinished upload expires (HTTP date)', schema: { type: 'string' } },
  limit: { name: 'Upload-Limit', description: 'Draft: `max-size` in bytes, and `max-age` in seconds', schema: { type: 'string' } },
  versions: { name: 'Tus-Version', description: 'Supported versions of tus', schema: { type: 'string' } },
  extensions: { name: 'Tus-Extension', description: 'Supported extensions of tus', schema: { type: 'string' } },
  maxSize: { name: 'Tus-Max-Size', description: 'Longest upload in bytes', schema: BYTES },
  algorithms: { name: 'Tus-Checksum-Algorithm', description: 'Algorithms of Upload-Checksum', schema: { type: 'string' } },
  acceptPatch: { name: 'Accept-Patch', description: 'Media types of the body of PATCH (RFC 5789)', schema: { type: 'string' } },
  allow: { name: 'Allow', description: 'Methods of this path', schema: { type: 'string' } },
} as const satisfies Record<string, RouteHeader>

const { version, interop, complete, length, deferLength, offset, metadata, concat, checksum, contentDigest, reprDigest, disposition } = HEADERS

/** Headers of requests, by operation. */
export const UPLOAD_REQUEST_HEADERS = {
  create: [version, length, deferLength, metadata, concat, checksum, interop, complete, contentDigest, reprDigest, disposition],
  append: [version, offset, length, checksum, interop, complete, contentDigest, reprDigest],
  other: [version, interop],
} as const

/** Headers of answers, by operation. */
export const UPLOAD_ANSWER_HEADERS = {
  options: [version, HEADERS.versions, HEADERS.extensions, HEADERS.maxSize, HEADERS.algorithms, HEADERS.acceptPatch, HEADERS.limit, HEADERS.allow],
  create: [version, HEADERS.location, offset, HEADERS.expires, HEADERS.image, interop, complete, HEADERS.limit],
  show: [version, offset, length, deferLength, metadata, concat, HEADERS.expires, HEADERS.image, interop, complete, HEADERS.limit],
  append: [version, offset, HEADERS.expires, HEADERS.image, interop, complete, HEADERS.limit],
  remove: [version, interop],
  redirect: [version, HEADERS.imageLocation],
} as const

/** Media types of bodies. */
export const UPLOAD_BODIES = {
  create: {
    [OFFSET_MEDIA_TYPE]: 'First bytes of the upload (tus, creation-with-upload)',
    'application/octet-stream': 'First or all bytes of the upload (draft)',
  },
  append: {
    [OFFSET_MEDIA_TYPE]: 'Bytes of the upload, starting at Upload-Offset (tus)',
    [PARTIAL_MEDIA_TYPE]: 'Bytes of the upload, starting at Upload-Offset (draft)',
    'application/octet-stream': 'Bytes of the upload, starting at Upload-Offset (draft, interop versions 4 and 5)',
    [SLICES_MEDIA_TYPE]: 'Frames of slices, for delta uploads (docs/protocol.md)',
  },
} as const
