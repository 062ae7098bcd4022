// Faults of a source: what it did wrong, by name. A fault marks the source for the rest of the task; the result and the log name it and why.

import { AnswerInvalid } from '../../../protocol/client/exchange.ts'
import { FrameInvalid } from '../../../protocol/slices/frames.ts'
import { ManifestInvalid } from '../../../protocol/slices/manifest.ts'
import { PROBLEMS, problem, ProblemError } from '../../../protocol/problems.ts'
import type { ProblemCode } from '../../../protocol/problems.ts'
import { sourceFaultSchema } from '../../../protocol/sync/sync.ts'
import type { SourceFault } from '../../../protocol/sync/sync.ts'
import { SliceUnreadable } from '../../contract/slices.ts'

const BUSY: ReadonlySet<ProblemCode> = new Set(['limit-reached', 'shutting-down', 'store-unavailable', 'interrupted'])
const REFUSALS: ReadonlySet<ProblemCode> = new Set(['unauthenticated', 'forbidden', 'link-expired', 'feature-disabled', 'grant-bound'])

/** Faults that problems of this store are about. */
const OWN_CODES: Partial<Record<ProblemCode, SourceFault>> = {
  'peer-unreachable': 'unreachable',
  'peer-refused': 'refused',
  'grant-ended': 'refused',
  'peer-not-allowed': 'not-allowed',
  'protocol-unsupported': 'protocol-unsupported',
}

/** Faults after which the same request may succeed: the line or the load of the source may be the reason. */
const TRANSIENT: ReadonlySet<SourceFault> = new Set([
  'unreachable',
  'busy',
  'slow',
  'cut',
  'not-an-agent',
  'redirect',
  'too-long',
  'truncated',
  'bad-manifest',
  'bad-frame',
  'unasked-slice',
  'wrong-slice',
])
/** Faults of an answer that no agent gives: the source, or something between both stores, is damaged or hostile. */
const INVALID: ReadonlySet<SourceFault> = new Set(['truncated', 'bad-manifest', 'wrong-image', 'bad-frame', 'unasked-slice', 'wrong-slice'])

/** Returns what a source did wrong; undefined when the error is not about a source, such as a full disk of this store. */
export function faultOf(error: unknown): SourceFault | undefined {
  if (error instanceof FrameInvalid) return error.fault
  if (error instanceof ManifestInvalid) return 'bad-manifest'
  if (error instanceof SliceUnreadable) return error.reason === 'corrupt' ? 'wrong-slice' : undefined
  if (!(error instanceof ProblemError)) return undefined
  const { code, problem: document, cause } = error
  if (error.isFromPeer) {
    if (BUSY.has(code) || code === 'peer-unreachable') return 'busy'
    if (code === 'not-found') return 'lacks'
    return document.status >= 500 && code !== 'data-corrupt' ? 'busy' : 'refused'
  }
  if (cause instanceof AnswerInvalid) return cause.fault
  const named = sourceFaultSchema.safeParse(document['fault'])
  if (named.success) return named.data
  return OWN_CODES[code]
}

/** Returns whether the fault is an answer that no agent gives. */
export function isInvalid(fault: SourceFault): boolean {
  return INVALID.has(fault)
}

/** Returns whether the same request to the same source may succeed later. */
export function isTransient(error: unknown): boolean {
  const fault = faultOf(error)
  return fault !== undefined && TRANSIENT.has(fault)
}

/**
 * Converts a failure of the peer to a problem of this store, with the name of the fault. Every viewer of this store can read it, and the peer may be
 * any server, so the problem contains the kind of failure but no text from the peer. `about` is what was requested.
 */
export function peerProblem(url: string, error: unknown, about = 'the request'): unknown {
  const fault = faultOf(error)
  if (fault === undefined) return error
  const options = { cause: error }
  const extras = { fault }
  if (error instanceof FrameInvalid) return problem('peer-invalid', `${url} sent slices that are not valid: ${error.message}.`, extras, options)
  if (error instanceof SliceUnreadable) return problem('peer-invalid', `${url} sent a slice whose bytes do not match its digest.`, extras, options)
  if (error instanceof ManifestInvalid) return problem('peer-invalid', `${url} sent a manifest that is not valid: ${error.message}.`, extras, options)
  if (!(error instanceof ProblemError)) return error
  if (!error.isFromPeer) {
    if (error.code !== 'peer-unreachable') return error
    return problem(INVALID.has(fault) ? 'peer-invalid' : 'peer-unreachable', error.problem.detail, extras, options)
  }
  const { code } = error
  const answer = `${error.problem.status}, ${code}: ${PROBLEMS[code].title.toLowerCase()}`
  if (REFUSALS.has(code)) return problem('peer-refused', `${url} refused ${about} (${answer}).`, extras, options)
  if (fault === 'busy') return problem('peer-unreachable', `${url} could not answer ${about} (${answer}).`, extras, options)
  return problem(code, `${url} refused ${about} (${answer}).`, extras, options)
}
