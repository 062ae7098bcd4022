// The one table of problems (RFC 9457). Every error that leaves an agent comes from here, so that
// clients can switch on `type` and operators always read what happened and what to do next.

import { z } from 'zod'

interface ProblemKind {
  readonly status: number
  readonly title: string
  /** What the reader can do; used when the place that raised the problem knows nothing better. */
  readonly action: string
}

/** Every problem by its code; `type` on the wire is `urn:slipway:problem:<code>`. */
export const PROBLEMS = {
  'not-found': { status: 404, title: 'Not found', action: 'Check the id or name; list what exists and try again.' },
  'invalid-input': { status: 400, title: 'Invalid input', action: 'Correct what the detail names and send the request again.' },
  'outside-mount-path': { status: 400, title: 'Path outside the mount path', action: 'Use a path relative to the mount path, without links that leave it.' },
  'unsupported-media-type': { status: 415, title: 'Unsupported media type', action: 'Send the content type that the detail names.' },
  'payload-too-large': { status: 413, title: 'Too large', action: 'Send less, or raise the limit that the detail names.' },
  'method-not-allowed': { status: 405, title: 'Method not allowed', action: 'Use one of the methods in the Allow header.' },
  unauthenticated: {
    status: 401,
    title: 'No valid token',
    action: 'Send "Authorization: Bearer <token>"; the admin token is in the state folder of the agent.',
  },
  forbidden: { status: 403, title: 'Not allowed', action: 'Use a token with the role that the detail names.' },
  'link-expired': { status: 403, title: 'Link expired or not valid', action: 'Ask for a new link.' },
  'range-not-satisfiable': { status: 416, title: 'Range outside the content', action: 'Ask for a range within the length that Content-Range names.' },
  'precondition-failed': { status: 412, title: 'Precondition failed', action: 'Read the resource again and repeat the request with its present ETag.' },
  conflict: { status: 409, title: 'Conflict with the present state', action: 'Look at the present state, then decide again.' },
  'wrong-status': {
    status: 409,
    title: 'Not possible in this status',
    action: 'Wait until the status that the detail names is reached, or cancel what is running.',
  },
  'offset-mismatch': { status: 409, title: 'Offset mismatch', action: 'Ask for the offset with HEAD and go on from there.' },
  'slice-missing': {
    status: 409,
    title: 'Slice not in the store',
    action: 'Ask which slices are missing again, and go on with their bytes from the offset in Upload-Offset.',
  },
  'tail-not-empty': {
    status: 409,
    title: 'No slice begins at this offset',
    action: 'Go on with plain bytes (application/offset+octet-stream) from the same offset.',
  },
  'length-mismatch': { status: 400, title: 'Lengths do not agree', action: 'Send the length that was told first, or start another upload.' },
  'upload-complete': { status: 400, title: 'Upload is complete', action: 'Send nothing more: HEAD tells the image in Content-Location.' },
  'upload-locked': { status: 423, title: 'Upload in use', action: 'Wait a few seconds and try again.' },
  'upload-final': { status: 403, title: 'Upload is a concatenation', action: 'Send bytes to its parts, or start another upload.' },
  'unsupported-version': {
    status: 412,
    title: 'Protocol version not supported',
    action: 'Send the header Tus-Resumable with a version that Tus-Version names.',
  },
  'request-timeout': { status: 408, title: 'Request arrived too slowly', action: 'Ask for the offset with HEAD and go on from there.' },
  'upload-cut': { status: 400, title: 'Body ended early', action: 'Ask for the offset with HEAD and go on from there.' },
  'upload-expired': { status: 410, title: 'Upload expired', action: 'Start the upload again.' },
  'checksum-mismatch': { status: 460, title: 'Checksum mismatch', action: 'Send the same bytes again from the same offset.' },
  'digest-mismatch': { status: 422, title: 'Digest mismatch', action: 'Compare the source file with its published checksum and upload it again.' },
  'format-mismatch': {
    status: 422,
    title: 'Format differs from the one declared',
    action: 'Declare the detected format, or convert the image and upload it again.',
  },
  'unsafe-image': { status: 422, title: 'Unsafe image', action: 'Flatten the image with qemu-img convert on a trusted machine and upload the result.' },
  'image-bound': { status: 409, title: 'Image in use', action: 'Remove the bindings that the detail names first.' },
  'image-protected': { status: 409, title: 'Image protected', action: 'Remove the protection first.' },
  'already-exported': { status: 409, title: 'Already exported', action: 'Use the existing export, or delete it first.' },
  'store-disabled': { status: 409, title: 'Store disabled', action: 'Enable the store, or use another one.' },
  'store-unavailable': { status: 503, title: 'Store unavailable', action: 'Check the mount path of the store; the request can be repeated when it is back.' },
  'insufficient-storage': {
    status: 507,
    title: 'Not enough space above the reserve',
    action: 'Delete images for good (image purge), then run store cleanup, or add space. The upload can be resumed afterwards.',
  },
  'limit-reached': { status: 429, title: 'Limit reached', action: 'Wait, or have the limit raised.' },
  'feature-disabled': { status: 403, title: 'Feature disabled', action: 'Have the feature enabled in the configuration of the store.' },
  'shutting-down': { status: 503, title: 'Agent is stopping', action: 'Try again in a few seconds; nothing acknowledged is lost.' },
  'peer-unreachable': { status: 502, title: 'Other store not reachable', action: 'Check the URL, the network and that the other agent runs, then try again.' },
  'peer-refused': { status: 502, title: 'Other store refused', action: 'Check the token and its role at the other store.' },
  'peer-not-allowed': {
    status: 403,
    title: 'Other store not allowed',
    action: 'Add its address, network or name to sync.peers in the configuration of this store, and restart its agent.',
  },
  'data-corrupt': { status: 500, title: 'Stored data is damaged', action: 'Sync the image again from a store that has it; scrub shows what else is damaged.' },
  cancelled: { status: 409, title: 'Cancelled', action: 'Start it again when it is wanted.' },
  interrupted: { status: 503, title: 'Interrupted by a restart', action: 'Retry the task; what was moved is kept.' },
  'malformed-request': {
    status: 400,
    title: 'Request is not valid HTTP',
    action: 'Send HTTP/1.1 as RFC 9112 defines it; look at proxies between the client and the agent.',
  },
  'target-too-long': { status: 414, title: 'Request target too long', action: 'Send a shorter URL.' },
  'expectation-failed': { status: 417, title: 'Expectation cannot be met', action: 'Send the request without the Expect header, or with 100-continue.' },
  'headers-too-large': { status: 431, title: 'Headers too large', action: 'Send fewer or shorter headers.' },
  'not-implemented': { status: 501, title: 'Not implemented', action: 'Use a method of the Allow header and no transfer coding but chunked.' },
  'http-version-not-supported': { status: 505, title: 'HTTP version not supported', action: 'Send HTTP/1.1.' },
  internal: { status: 500, title: 'Internal error', action: 'Note the request id, collect evidence from the store and report it.' },
} as const satisfies Record<string, ProblemKind>

/** Stable code of a problem. */
export type ProblemCode = keyof typeof PROBLEMS

export const PROBLEM_TYPE_PREFIX = 'urn:slipway:problem:'

/** RFC 9457 §3.1 members, and `action`: what to do next. Unknown extension members pass through. */
export const problemSchema = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.int().min(100).max(599),
  detail: z.string(),
  action: z.string(),
  instance: z.string().optional(),
  requestId: z.string().optional(),
})

/** A problem document as it goes over the wire. */
export type Problem = z.infer<typeof problemSchema>

/** Members a problem may add to the standard ones, such as `errors` or `expectedOffset`. */
export type ProblemExtras = Readonly<Record<string, unknown>>

/** Makes the document of a problem; `action` falls back to the one in the table. */
export function makeProblem(code: ProblemCode, detail: string, extras: ProblemExtras & { action?: string } = {}): Problem {
  const kind = PROBLEMS[code]
  return { type: PROBLEM_TYPE_PREFIX + code, title: kind.title, status: kind.status, detail, action: kind.action, ...extras }
}

/** Code of a problem document, or `internal` when it is not one of ours. */
export function problemCode(problem: Pick<Problem, 'type'>): ProblemCode {
  const code = problem.type.startsWith(PROBLEM_TYPE_PREFIX) ? problem.type.slice(PROBLEM_TYPE_PREFIX.length) : ''
  return code in PROBLEMS ? (code as ProblemCode) : 'internal'
}

/** An expected refusal on its way to the edge, where it becomes a problem document. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError'
  readonly problem: Problem
  /** Further headers of the answer, such as `Upload-Offset` beside an offset mismatch. */
  readonly headers: Readonly<Record<string, string>>
  /** Whether the document came from another machine: then its words are not ours. */
  readonly isFromPeer: boolean

  constructor(problem: Problem, options: { cause?: unknown; headers?: Readonly<Record<string, string>>; isFromPeer?: boolean } = {}) {
    super(problem.detail, options.cause === undefined ? undefined : { cause: options.cause })
    this.problem = problem
    this.headers = options.headers ?? {}
    this.isFromPeer = options.isFromPeer ?? false
  }

  get code(): ProblemCode {
    return problemCode(this.problem)
  }
}

/** Short for `new ProblemError(makeProblem(…))`. */
export function problem(
  code: ProblemCode,
  detail: string,
  extras: ProblemExtras & { action?: string } = {},
  options: { cause?: unknown; headers?: Readonly<Record<string, string>> } = {},
): ProblemError {
  return new ProblemError(makeProblem(code, detail, extras), options)
}
