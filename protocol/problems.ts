// The table of problems (RFC 9457). It lists every error that an agent answers with, so that clients can switch on `type`, and users always read what
// happened and what to do next.

import { z } from 'zod'

interface ProblemKind {
  readonly status: number
  readonly title: string
  /** What the user can do; used unless the code that raises the problem sets a more specific action. */
  readonly action: string
}

/** Every problem by its code; `type` on the wire is `urn:slipway:problem:<code>`. */
export const PROBLEMS = {
  'not-found': { status: 404, title: 'Not found', action: 'Check the id or name. List what exists, then try again.' },
  'invalid-input': { status: 400, title: 'Invalid input', action: 'Correct what the detail names, then send the request again.' },
  'outside-mount-path': { status: 400, title: 'Path outside the mount path', action: 'Use a path relative to the mount path that no link leads out of it.' },
  'unsupported-media-type': { status: 415, title: 'Unsupported media type', action: 'Send the content type that the detail names.' },
  'payload-too-large': { status: 413, title: 'Too large', action: 'Send less, or ask an administrator to raise the limit that the detail names.' },
  'method-not-allowed': { status: 405, title: 'Method not allowed', action: 'Use one of the methods in the Allow header.' },
  unauthenticated: {
    status: 401,
    title: 'Missing or invalid token',
    action: 'Send "Authorization: Bearer <token>". The admin token is in the state folder of the agent.',
  },
  forbidden: { status: 403, title: 'Not allowed', action: 'Use a token with the role that the detail names.' },
  'link-expired': { status: 403, title: 'Link expired or invalid', action: 'Ask for a new link.' },
  'range-not-satisfiable': { status: 416, title: 'Range outside the content', action: 'Request a range within the length in Content-Range.' },
  'precondition-failed': { status: 412, title: 'Precondition failed', action: 'Read the resource again, then send the request with its current ETag.' },
  conflict: { status: 409, title: 'Conflict with the current state', action: 'Check the current state, then decide again.' },
  'wrong-status': {
    status: 409,
    title: 'Not possible in this status',
    action: 'Wait until the status changes, or cancel the work in progress.',
  },
  'offset-mismatch': { status: 409, title: 'Offset mismatch', action: 'Get the current offset with HEAD, and continue from there.' },
  'slice-missing': {
    status: 409,
    title: 'Slice not in the store',
    action: 'Ask again which slices are missing, then continue with their bytes from the offset in Upload-Offset.',
  },
  'tail-not-empty': {
    status: 409,
    title: 'No slice begins at this offset',
    action: 'Continue with plain bytes (application/offset+octet-stream) from the same offset.',
  },
  'length-mismatch': { status: 400, title: 'Length mismatch', action: 'Send the length that was declared first, or start another upload.' },
  'upload-complete': { status: 400, title: 'Upload already complete', action: 'Send no more bytes. HEAD returns the image in Content-Location.' },
  'upload-locked': { status: 423, title: 'Upload in use', action: 'Wait a few seconds, then try again.' },
  'upload-final': { status: 403, title: 'Upload is a concatenation', action: 'Append to its parts, or start another upload.' },
  'unsupported-version': {
    status: 412,
    title: 'Protocol version not supported',
    action: 'Send the header Tus-Resumable with a version that Tus-Version lists.',
  },
  'request-timeout': { status: 408, title: 'Request too slow', action: 'Get the current offset with HEAD, and continue from there.' },
  'upload-cut': { status: 400, title: 'Body ended early', action: 'Get the current offset with HEAD, and continue from there.' },
  'upload-expired': { status: 410, title: 'Upload expired', action: 'Start the upload again.' },
  'checksum-mismatch': { status: 460, title: 'Checksum mismatch', action: 'Send the same bytes again from the same offset.' },
  'digest-mismatch': { status: 422, title: 'Digest mismatch', action: 'Compare the source file with its published checksum, then upload it again.' },
  'format-mismatch': {
    status: 422,
    title: 'Format differs from the declared one',
    action: 'Declare the detected format, or convert the image, then upload it again.',
  },
  'unsupported-format': {
    status: 422,
    title: 'Format not supported',
    action: 'Convert the file with qemu-img convert to qcow2, raw or vmdk on a trusted machine, then upload the result.',
  },
  'unsafe-image': { status: 422, title: 'Unsafe image', action: 'Flatten the image with qemu-img convert on a trusted machine, then upload the result.' },
  'image-bound': { status: 409, title: 'Image in use', action: 'First remove the bindings that the detail names.' },
  'image-protected': { status: 409, title: 'Image protected', action: 'First remove the protection.' },
  'virtual-disk': {
    status: 409,
    title: 'Virtual disk of an instance',
    action: 'Change the disk through its instance. To delete it, remove its last binding.',
  },
  'already-exported': { status: 409, title: 'Already exported', action: 'Use the existing export, or delete it first.' },
  'store-disabled': { status: 409, title: 'Store disabled', action: 'Enable the store, or use another one.' },
  'store-unavailable': {
    status: 503,
    title: 'Store unavailable',
    action: 'Check the mount path of the store. Repeat the request when the store is available again.',
  },
  'insufficient-storage': {
    status: 507,
    title: 'Not enough space above the reserve',
    action: 'Delete images for good (image purge), then run store cleanup, or add space. The upload can be resumed afterwards.',
  },
  'kind-not-accepted': {
    status: 403,
    title: 'Store takes other kinds only',
    action: 'Choose a store that takes this kind, or declare one of the kinds that the detail names.',
  },
  'limit-reached': { status: 429, title: 'Limit reached', action: 'Wait, then try again, or ask an administrator to raise the limit.' },
  'feature-disabled': { status: 403, title: 'Feature disabled', action: 'Ask an administrator to enable the feature in the configuration of the store.' },
  'shutting-down': { status: 503, title: 'Agent is stopping', action: 'Try again in a few seconds. Everything acknowledged is kept.' },
  'peer-unreachable': {
    status: 502,
    title: 'Other store unreachable',
    action: 'Check the URL, the network, and that the other agent is running. Then try again.',
  },
  'origin-unreachable': {
    status: 502,
    title: 'Origin unreachable',
    action: 'Check the network to the origins of this store, and that their agents run. Then try again.',
  },
  'peer-refused': { status: 502, title: 'Other store refused the request', action: 'Check the token and its role at the other store.' },
  'peer-invalid': {
    status: 502,
    title: 'Other store sent invalid bytes',
    action: 'Scrub the other store, and check the line and the proxies between both. Then try again, or copy from another store.',
  },
  'protocol-unsupported': {
    status: 502,
    title: 'No common version of the protocol',
    action: 'Upgrade the older of the two agents, then try again.',
  },
  'grant-bound': {
    status: 403,
    title: 'Grant is for another store',
    action: 'Order the copy again at the store that shall have the images: image sync asks for a grant for it.',
  },
  'grant-ended': {
    status: 502,
    title: 'Grant of the other store ended',
    action: 'Run task retry, which asks the source for another grant, or order the sync again. What was copied is kept.',
  },
  'peer-not-allowed': {
    status: 403,
    title: 'Other store not allowed',
    action: 'Add its address, network or name to sync.peers in the configuration of this store, and restart its agent.',
  },
  'no-network-address': {
    status: 409,
    title: 'No address in the network',
    action: 'Give this node an address in that network, or set network.sync of this store to a network that both stores share.',
  },
  'source-unreachable': {
    status: 502,
    title: 'Source of the import unreachable',
    action: 'Check the address and that its server is running, then retry the task. It continues where it ended.',
  },
  'source-refused': { status: 502, title: 'Source of the import refused the request', action: 'Check the address and the credentials, then import again.' },
  'source-changed': { status: 409, title: 'Source of the import changed', action: 'Import again when nobody writes to the source any more.' },
  'source-not-allowed': {
    status: 403,
    title: 'Source of the import not allowed',
    action: 'Ask an administrator to add its host or network to imports.allow in the configuration of this store.',
  },
  'host-key-mismatch': {
    status: 409,
    title: 'Host key is not the expected one',
    action: 'Compare the fingerprint with "ssh-keygen -lf" on the server before you import again with hostKey set to it.',
  },
  'data-corrupt': { status: 500, title: 'Stored data is damaged', action: 'Sync the image again from a store that has it. Run scrub to find other damage.' },
  cancelled: { status: 409, title: 'Cancelled', action: 'Start it again if you still need it.' },
  interrupted: { status: 503, title: 'Interrupted by a restart', action: 'Retry the task. What was already copied is kept.' },
  'malformed-request': {
    status: 400,
    title: 'Request is not valid HTTP',
    action: 'Send valid HTTP/1.1 (RFC 9112). Check the proxies between the client and the agent.',
  },
  'target-too-long': { status: 414, title: 'Request target too long', action: 'Send a shorter URL.' },
  'expectation-failed': { status: 417, title: 'Expectation cannot be met', action: 'Send the request without the Expect header, or with 100-continue.' },
  'headers-too-large': { status: 431, title: 'Headers too large', action: 'Send fewer or shorter headers.' },
  'not-implemented': { status: 501, title: 'Not implemented', action: 'Use a method of the Allow header, and no transfer coding other than chunked.' },
  'http-version-not-supported': { status: 505, title: 'HTTP version not supported', action: 'Send HTTP/1.1.' },
  internal: { status: 500, title: 'Internal error', action: 'Note the request id, collect evidence from the store, and report both.' },
} as const satisfies Record<string, ProblemKind>

/** The stable code of a problem. */
export type ProblemCode = keyof typeof PROBLEMS

export const PROBLEM_TYPE_PREFIX = 'urn:slipway:problem:'

/** The members of RFC 9457 §3.1, `action` (what to do next) and `requestId`. Keeps unknown extension members. */
export const problemSchema = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.int().min(100).max(599),
  detail: z.string(),
  action: z.string(),
  instance: z.string().optional(),
  requestId: z.string().optional(),
})

/** A problem document as sent over HTTP. */
export type Problem = z.infer<typeof problemSchema>

/** Members that a problem adds to the standard ones, such as `errors` or `expectedOffset`. */
export type ProblemExtras = Readonly<Record<string, unknown>>

/** Returns the document of a problem. The default of `action` is in the table. */
export function makeProblem(code: ProblemCode, detail: string, extras: ProblemExtras & { action?: string } = {}): Problem {
  const kind = PROBLEMS[code]
  return { type: PROBLEM_TYPE_PREFIX + code, title: kind.title, status: kind.status, detail, action: kind.action, ...extras }
}

/** Returns the code of a problem document; `internal` when it is not one of this table. */
export function problemCode(problem: Pick<Problem, 'type'>): ProblemCode {
  const code = problem.type.startsWith(PROBLEM_TYPE_PREFIX) ? problem.type.slice(PROBLEM_TYPE_PREFIX.length) : ''
  return code in PROBLEMS ? (code as ProblemCode) : 'internal'
}

/** An expected refusal. agent/http answers it with the problem document. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError'
  readonly problem: Problem
  /** Further headers of the answer, such as `Upload-Offset` with an offset mismatch. */
  readonly headers: Readonly<Record<string, string>>
  /** Whether the document came from another machine, whose text must not be trusted. */
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

/** Returns `new ProblemError(makeProblem(…))`. */
export function problem(
  code: ProblemCode,
  detail: string,
  extras: ProblemExtras & { action?: string } = {},
  options: { cause?: unknown; headers?: Readonly<Record<string, string>> } = {},
): ProblemError {
  return new ProblemError(makeProblem(code, detail, extras), options)
}
