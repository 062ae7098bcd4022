// The states of a request: the pure rules, and the requests in the database against a model of them.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { APPROVAL_LIFE_MS, createApprovals, ENDED_KEPT, LINE_LENGTH_MAX, WAITING_MAX, WAITING_PER_PERSON_MAX } from '../../../bot/approvals/approvals.ts'
import type { ApprovalDraft, Approvals } from '../../../bot/approvals/approvals.ts'
import { decide, isSettled, mayStart } from '../../../bot/approvals/machine.ts'
import type { ApprovalState, Decision } from '../../../bot/approvals/machine.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'

const STATES: readonly ApprovalState[] = ['waiting', 'approved', 'running', 'done', 'failed', 'changed', 'interrupted', 'denied', 'cancelled', 'expired']
const DRAFT: ApprovalDraft = {
  ...{ title: 'Delete edge-a', question: 'edge-a would be removed.', reason: 'Nobody watches it then.', facts: [{ label: 'Held', value: 'no image' }] },
  subjects: [{ kind: 'store', store: 'edge-a', id: '', name: 'edge-a' }],
  ...{ command: 'store delete edge-a', line: 'store delete edge-a --plan=1 --confirm edge-a', plan: '1', role: 'admin' as const },
  ...{ requester: 'UADA', requesterName: 'ada (UADA)', channel: 'C1' },
}
const BOB = { id: 'UBOB', name: 'bob (UBOB)' }

function open() {
  const database = openMemoryDatabase()
  const cards: string[] = []
  const approvals = createApprovals(database, { put: ({ key, view }) => void cards.push(`${key} ${view.title}`) }, 'on')
  return { database, approvals, cards }
}
const stateOf = (approvals: Approvals, id = 1): ApprovalState | undefined => approvals.find(id)?.state

describe('the rules', () => {
  test.each<[Decision, string | undefined, ReturnType<typeof decide>]>([
    ['approve', 'UBOB', 'approved'],
    ['approve', undefined, 'approved'],
    ['approve', 'UADA', { refused: 'own' }],
    ['deny', 'UBOB', 'denied'],
    ['deny', undefined, 'denied'],
    ['deny', 'UADA', { refused: 'own' }],
    ['cancel', 'UADA', 'cancelled'],
    ['cancel', undefined, 'cancelled'],
    ['cancel', 'UBOB', { refused: 'not-own' }],
  ])('%s by %s', (decision, person, outcome) => {
    const waiting = { state: 'waiting' as const, requester: 'UADA', expiresMs: 100 }
    expect(decide(waiting, decision, person, 99)).toEqual(outcome)
    expect(decide(waiting, decision, person, 100)).toEqual({ refused: 'expired' })
    for (const state of STATES.filter((one) => one !== 'waiting'))
      expect(decide({ ...waiting, state }, decision, person, 99)).toEqual({ refused: state === 'expired' ? 'expired' : 'decided' })
  })

  test('only what was approved starts, and only until it expires', () => {
    expect(STATES.filter((state) => mayStart({ state, requester: '', expiresMs: 100 }, 99))).toEqual(['approved'])
    expect(STATES.filter((state) => mayStart({ state, requester: '', expiresMs: 100 }, 100))).toEqual([])
    expect(STATES.filter(isSettled)).toEqual(['done', 'failed', 'changed', 'interrupted', 'denied', 'cancelled', 'expired'])
  })
})

describe('a request in the database', () => {
  test('has a card for each state, queued with it', () => {
    const { approvals, cards } = open()
    approvals.request(DRAFT, 0)
    approvals.decide(1, 'approve', BOB, 1)
    expect(approvals.claim('run-1', 2)).toMatchObject({ id: 1, state: 'running', deciderName: 'bob (UBOB)' })
    expect(approvals.claim('run-1', 2)).toBeUndefined()
    expect(approvals.end(1, 'run-2', { state: 'done', result: 'x', next: '' }, 3)).toBe(false)
    expect(approvals.end(1, 'run-1', { state: 'done', result: 'Removed.', next: '' }, 3)).toBe(true)
    expect(approvals.end(1, 'run-1', { state: 'failed', result: 'x', next: '' }, 4)).toBe(false)
    expect(approvals.find(1)).toMatchObject({ state: 'done', result: 'Removed.', endedMs: 3, decidedMs: 1 })
    expect(cards).toEqual([
      'approval 1 Waiting for approval: Delete edge-a',
      'approval 1 Approved, starts now: Delete edge-a',
      'approval 1 Approved, running: Delete edge-a',
      'approval 1 Done: Delete edge-a',
    ])
  })

  test('that another run left is taken over once', () => {
    const { approvals } = open()
    approvals.request(DRAFT, 0)
    approvals.decide(1, 'approve', BOB, 1)
    approvals.claim('old', 2)
    expect(approvals.left('old')).toEqual([])
    expect(approvals.left('new').map(({ id }) => id)).toEqual([1])
    expect([approvals.takeOver(1, 'new'), approvals.takeOver(1, 'new'), approvals.left('new').length]).toEqual([true, false, 0])
    expect(approvals.end(1, 'old', { state: 'done', result: '', next: '' }, 3)).toBe(false)
    expect(approvals.end(1, 'new', { state: 'interrupted', result: '', next: '' }, 3)).toBe(true)
  })

  test('expires, also after it was approved but not started', () => {
    const { approvals } = open()
    approvals.request(DRAFT, 0)
    approvals.request({ ...DRAFT, line: 'other' }, 0)
    approvals.decide(1, 'approve', BOB, APPROVAL_LIFE_MS - 1)
    expect(approvals.claim('run', APPROVAL_LIFE_MS)).toBeUndefined()
    expect(approvals.expire(APPROVAL_LIFE_MS - 1)).toEqual([])
    expect(approvals.expire(APPROVAL_LIFE_MS).map(({ id, state }) => [id, state])).toEqual([
      [1, 'expired'],
      [2, 'expired'],
    ])
    expect(approvals.expire(APPROVAL_LIFE_MS + 1)).toEqual([])
  })

  test('is bounded for a person, for all, and in length', () => {
    const { approvals } = open()
    const ask = (requester: string, line: string) => approvals.request({ ...DRAFT, requester, line }, 0).kind
    expect(ask('UADA', 'x'.repeat(LINE_LENGTH_MAX + 1))).toBe('too-long')
    expect(ask('UADA', 'x'.repeat(LINE_LENGTH_MAX))).toBe('requested')
    for (let i = 1; i < WAITING_PER_PERSON_MAX; i++) expect(ask('UADA', String(i))).toBe('requested')
    expect([ask('UADA', 'more'), ask('UADA', '1')]).toEqual(['too-many', 'known'])
    for (let i = WAITING_PER_PERSON_MAX; i < WAITING_MAX; i++) expect(ask(`U${Math.floor(i / WAITING_PER_PERSON_MAX)}`, String(i))).toBe('requested')
    expect(ask('ULAST', 'last')).toBe('too-many')
    approvals.decide(1, 'deny', BOB, 0)
    expect(ask('ULAST', 'last')).toBe('requested')
  })

  test('that has ended is kept while it is one of the newest', () => {
    const { approvals, database } = open()
    for (let i = 0; i <= ENDED_KEPT; i++) {
      approvals.request({ ...DRAFT, line: String(i) }, 0)
      approvals.decide(i + 1, 'deny', BOB, 0)
    }
    expect(database.query('SELECT count(*) AS count FROM approvals').get()).toEqual({ count: ENDED_KEPT })
    expect([approvals.find(1), stateOf(approvals, 2)]).toEqual([undefined, 'denied'])
    expect([approvals.list(true).length, approvals.list(false).length]).toEqual([ENDED_KEPT, 0])
  })
})

test('whatever people do and whenever the service is killed, a request runs at most once, only approved by another person, and only in time', () => {
  const person = fc.constantFrom('UADA', 'UBOB', 'UCAT', undefined)
  const step = fc.oneof(
    fc.record({ do: fc.constant('decide' as const), decision: fc.constantFrom<Decision>('approve', 'deny', 'cancel'), person }),
    fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(0, 1, APPROVAL_LIFE_MS / 2, APPROVAL_LIFE_MS) }),
    fc.record({ do: fc.constantFrom('claim' as const, 'kill' as const, 'end' as const, 'expire' as const, 'ask' as const) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const { approvals } = open()
      approvals.request(DRAFT, 0)
      let nowMs = 0
      let run = 1
      // The model: what was decided by whom, and how often it was started.
      let model: ApprovalState = 'waiting'
      let owner = 0
      let starts = 0
      for (const one of steps) {
        if (one.do === 'pass') nowMs += one.ms
        if (one.do === 'kill') run++
        if (one.do === 'ask') approvals.request({ ...DRAFT, line: 'another' }, nowMs)
        if (one.do === 'expire') {
          approvals.expire(nowMs)
          if ((model === 'waiting' || model === 'approved') && nowMs >= APPROVAL_LIFE_MS) model = 'expired'
        }
        if (one.do === 'decide') {
          const own = one.person === 'UADA'
          const allowed = model === 'waiting' && nowMs < APPROVAL_LIFE_MS && (one.person === undefined || own === (one.decision === 'cancel'))
          const outcome = approvals.decide(1, one.decision, { id: one.person, name: one.person ?? 'console' }, nowMs)
          expect(outcome?.kind).toBe(allowed ? 'decided' : 'refused')
          if (allowed) model = one.decision === 'approve' ? 'approved' : one.decision === 'deny' ? 'denied' : 'cancelled'
        }
        if (one.do === 'claim') {
          const claimed = approvals.claim(String(run), nowMs)
          const expected: boolean = model === 'approved' && nowMs < APPROVAL_LIFE_MS
          expect(claimed?.id).toBe(expected ? 1 : undefined)
          if (claimed) {
            expect(claimed.decider).not.toBe('UADA')
            starts++
            owner = run
            model = 'running'
          }
          for (const left of approvals.left(String(run))) expect(approvals.takeOver(left.id, String(run))).toBe(true)
          if (model === 'running') owner = run
        }
        if (one.do === 'end') {
          const ended = approvals.end(1, String(run), { state: 'done', result: '', next: '' }, nowMs)
          expect(ended).toBe(model === 'running' && owner === run)
          if (ended) model = 'done'
        }
        expect(stateOf(approvals)).toBe(model)
        expect(starts).toBeLessThanOrEqual(1)
      }
    }),
    { numRuns: 150 },
  )
})
