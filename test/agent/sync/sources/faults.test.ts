// The fault of a source for each way in which a request to it can fail, whether a retry may help, and the problem that a viewer reads.

import { describe, expect, test } from 'bun:test'
import { SliceUnreadable } from '../../../../agent/contract/slices.ts'
import { faultOf, isInvalid, isTransient, peerProblem } from '../../../../agent/sync/sources/faults.ts'
import { AnswerInvalid } from '../../../../protocol/client/exchange.ts'
import { makeProblem, problem, ProblemError } from '../../../../protocol/problems.ts'
import type { ProblemCode } from '../../../../protocol/problems.ts'
import { FrameInvalid } from '../../../../protocol/slices/frames.ts'
import { ManifestInvalid } from '../../../../protocol/slices/manifest.ts'

const DIGEST = new Uint8Array(32)
const theirs = (code: ProblemCode, status?: number): ProblemError => {
  const document = makeProblem(code, 'A secret of the network behind the source.')
  return new ProblemError(status === undefined ? document : { ...document, status }, { isFromPeer: true })
}
const answered = (fault: AnswerInvalid['fault']): ProblemError =>
  problem('peer-unreachable', `http://hub sent something: ${fault}.`, {}, { cause: new AnswerInvalid(fault, 'x') })

describe('a failure', () => {
  test.each<[string, unknown, string | undefined, 'retry' | 'no retry']>([
    ['a frame that is none', new FrameInvalid('x'), 'bad-frame', 'retry'],
    ['an answer that ends too early', new FrameInvalid('x', 'truncated'), 'truncated', 'retry'],
    ['a slice that nobody asked for', new FrameInvalid('x', 'unasked-slice'), 'unasked-slice', 'retry'],
    ['a manifest that is none', new ManifestInvalid('x'), 'bad-manifest', 'retry'],
    ['a slice with other bytes', new SliceUnreadable(DIGEST, 'corrupt', 'x'), 'wrong-slice', 'retry'],
    ['a slice that this store lacks', new SliceUnreadable(DIGEST, 'missing', 'x'), undefined, 'no retry'],
    ['an error of this store', new Error('EIO'), undefined, 'no retry'],
    ['a refusal of this store', problem('insufficient-storage', 'x'), undefined, 'no retry'],
    ['no connection', problem('peer-unreachable', 'x'), 'unreachable', 'retry'],
    ['an address that is not allowed', problem('peer-not-allowed', 'x'), 'not-allowed', 'no retry'],
    ['no common version', problem('protocol-unsupported', 'x'), 'protocol-unsupported', 'no retry'],
    ['a grant that has ended', problem('grant-ended', 'x'), 'refused', 'no retry'],
    ['a problem of this store that names the fault', problem('digest-mismatch', 'x', { fault: 'wrong-image' }), 'wrong-image', 'no retry'],
    ['a problem of this store with a fault that is none', problem('conflict', 'x', { fault: 'nonsense' }), undefined, 'no retry'],
    ['a redirect', answered('redirect'), 'redirect', 'retry'],
    ['a page', answered('not-an-agent'), 'not-an-agent', 'retry'],
    ['a cut', answered('cut'), 'cut', 'retry'],
    ['a source that is busy', theirs('limit-reached'), 'busy', 'retry'],
    ['a source that stops', theirs('shutting-down'), 'busy', 'retry'],
    ['a source whose own source is away', theirs('peer-unreachable'), 'busy', 'retry'],
    ['a source that lacks it', theirs('not-found'), 'lacks', 'no retry'],
    ['a source whose data are damaged', theirs('data-corrupt', 500), 'refused', 'no retry'],
    ['a refusal of a source', theirs('forbidden'), 'refused', 'no retry'],
    ['status 499 of a source', theirs('conflict', 499), 'refused', 'no retry'],
    ['status 500 of a source', theirs('conflict', 500), 'busy', 'retry'],
  ])('%s is the fault %#', (_what, error, fault, retry) => {
    expect(faultOf(error)).toBe(fault as ReturnType<typeof faultOf>)
    expect(isTransient(error)).toBe(retry === 'retry')
  })

  test.each([
    ['truncated', true],
    ['bad-manifest', true],
    ['wrong-image', true],
    ['bad-frame', true],
    ['unasked-slice', true],
    ['wrong-slice', true],
    ['cut', false],
    ['slow', false],
    ['refused', false],
  ] as const)('with the fault %s is an answer that no agent gives: %p', (fault, expected) => {
    expect(isInvalid(fault)).toBe(expected)
  })
})

describe('the problem', () => {
  test.each<[unknown, ProblemCode, string, string]>([
    [new FrameInvalid('the magic is wrong'), 'peer-invalid', 'bad-frame', 'http://hub sent slices that are not valid: the magic is wrong.'],
    [new SliceUnreadable(DIGEST, 'corrupt', 'x'), 'peer-invalid', 'wrong-slice', 'http://hub sent a slice whose bytes do not match its digest.'],
    [new ManifestInvalid('it ends too early'), 'peer-invalid', 'bad-manifest', 'http://hub sent a manifest that is not valid: it ends too early.'],
    [answered('truncated'), 'peer-invalid', 'truncated', 'http://hub sent something: truncated.'],
    [answered('cut'), 'peer-unreachable', 'cut', 'http://hub sent something: cut.'],
    [problem('peer-unreachable', 'No connection.'), 'peer-unreachable', 'unreachable', 'No connection.'],
    [theirs('unauthenticated'), 'peer-refused', 'refused', 'http://hub refused image one (401, unauthenticated: missing or invalid token).'],
    [theirs('limit-reached'), 'peer-unreachable', 'busy', 'http://hub could not answer image one (429, limit-reached: limit reached).'],
    [theirs('not-found'), 'not-found', 'lacks', 'http://hub refused image one (404, not-found: not found).'],
  ])('%# says what was asked and how it failed, without text of the source', (error, code, fault, detail) => {
    const shown = peerProblem('http://hub', error, 'image one')
    expect(shown).toMatchObject({ code, message: detail, isFromPeer: false, cause: error, problem: { fault } })
  })

  test('of this store stays as it is', () => {
    for (const error of [
      new Error('EIO'),
      problem('insufficient-storage', 'x'),
      problem('peer-not-allowed', 'x'),
      problem('digest-mismatch', 'x', { fault: 'wrong-image' }),
    ])
      expect(peerProblem('http://hub', error)).toBe(error)
  })

  test('says that the request failed when nobody says which', () => {
    expect(peerProblem('http://hub', theirs('forbidden'))).toMatchObject({
      message: expect.stringContaining('http://hub refused the request (403, forbidden: '),
    })
  })
})
