// How policies, their plans and their runs read: states, the next and the last run, what is cut, and what people below operator do not see.

import { describe, expect, test } from 'bun:test'
import {
  planJson,
  planNotes,
  planRows,
  planWords,
  policyFields,
  policyJson,
  policyRow,
  policyState,
  resultWords,
  runJson,
} from '../../../../bot/commands/policy/policy-rows.ts'
import type { Finding, PlannedCopy, PolicyPlan } from '../../../../bot/policies/plan.ts'
import type { Policy } from '../../../../bot/policies/policy.ts'
import type { PolicyRun } from '../../../../bot/policies/runs.ts'
import type { Role } from '../../../../protocol/access.ts'

const NOW_MS = Date.UTC(2026, 0, 2)
const POLICY: Policy = {
  ...{ name: 'two', rule: { kind: 'keep', copies: 2 }, scope: { kind: 'all' }, labels: [], kinds: [], graceMs: 7_200_000 },
  ...{ cron: '0 3 * * *', timezone: 'UTC', paused: false, createdMs: NOW_MS, anchorMs: NOW_MS },
}
const ENDED: PolicyRun = {
  ...{ id: 1, policy: 'two', cause: 'schedule', actor: 'policies', startedMs: NOW_MS - 60_000, isOrdered: true, leaseMs: 0, endedMs: NOW_MS },
  ...{ outcome: 'succeeded', result: '2 copies of images made', action: '', copies: [], failures: [], findings: [], removed: 0 },
}
const FAILED: PolicyRun = { ...ENDED, outcome: 'failed', result: '1 not: debian in edge-a: It is full', action: 'Free some space.' }
const COPY = { name: 'debian', imageId: 'img_1', target: 'edge-a', source: 'hub', taskId: null }
const RUNNING: PolicyRun = { ...ENDED, endedMs: null, outcome: null, result: '', copies: [COPY, COPY] }
const actor = (role: Role) => ({ name: 'ann', role })

describe('the state', () => {
  test.each<[string, Partial<Policy>, PolicyRun[]]>([
    ['waiting', {}, []],
    ['waiting', {}, [ENDED, FAILED]],
    ['failed', {}, [FAILED, ENDED]],
    ['running', {}, [RUNNING, FAILED]],
    ['running', { paused: true }, [RUNNING]],
    ['paused', { paused: true }, [FAILED]],
  ])('is %s for %j', (state, members, runs) => {
    expect<string>(policyState({ ...POLICY, ...members }, runs)).toBe(state)
  })
})

describe('a row', () => {
  test('has the next time and the last run that has ended', () => {
    expect(policyRow(POLICY, [RUNNING, ENDED], actor('operator'), NOW_MS)).toMatchObject({
      tone: 'plain',
      cells: { state: 'running', next: '2026-01-02 03:00:00 UTC', last: '2026-01-01 23:59:00 UTC', result: '2 copies of images made.' },
    })
  })

  test('of a policy that is paused and never ran has neither', () => {
    expect(policyRow({ ...POLICY, paused: true }, [RUNNING], actor('operator'), NOW_MS).cells).toMatchObject({ next: '–', last: '–', result: '–' })
  })
})

describe('a result', () => {
  test.each<[Role, PolicyRun, string]>([
    ['operator', FAILED, '1 not: debian in edge-a: It is full.'],
    ['uploader', FAILED, 'Failed; an operator sees why.'],
    ['viewer', ENDED, 'Succeeded.'],
    ['viewer', RUNNING, 'running'],
    ['operator', RUNNING, 'running'],
  ])('for %s of %j is %s', (role, run, words) => {
    expect(resultWords(run, actor(role))).toBe(words)
  })

  test('names images to operators only, also as JSON', () => {
    const seen = { ...FAILED, copies: [COPY], failures: [], findings: [], removed: 3 }
    expect(runJson(seen, actor('operator'))).toEqual({
      ...{ cause: 'schedule', startedAt: '2026-01-01T23:59:00.000Z', endedAt: '2026-01-02T00:00:00.000Z', outcome: 'failed', removed: 3 },
      ...{ result: '1 not: debian in edge-a: It is full.', action: 'Free some space.', copies: [COPY], failures: [], findings: [] },
    })
    expect(Object.keys(runJson(seen, actor('uploader')))).toEqual(['cause', 'startedAt', 'endedAt', 'outcome', 'result', 'removed'])
    expect(runJson(RUNNING, actor('viewer'))).toMatchObject({ endedAt: null, outcome: null })
  })
})

describe('the fields', () => {
  const fields = (policy: Policy, runs: PolicyRun[]): string[] =>
    policyFields(policy, runs, NOW_MS).map(({ label, value, tone }) => `${label}: ${value}${tone === undefined ? '' : ` (${tone})`}`)

  test('say when it runs next, and how the runs went', () => {
    expect(fields(POLICY, [RUNNING, FAILED, ENDED])).toEqual([
      'Name: two',
      'What it does: keeps 2 copies of images in all stores',
      'State: running (plain)',
      'Cron: 0 3 * * * (UTC)',
      'Next run: 2026-01-02 03:00:00 UTC',
      'Grace: 2 h',
      'Run of 2026-01-01 23:59:00 UTC: 2 copies of images being made (plain)',
      'Run of 2026-01-01 23:59:00 UTC: 1 not: debian in edge-a: It is full. Free some space. (bad)',
      'Run of 2026-01-01 23:59:00 UTC: 2 copies of images made. (good)',
    ])
    expect(fields({ ...POLICY, paused: true }, [])[4]).toBe('Next run: –')
  })

  test('have the five newest runs', () => {
    expect(
      fields(
        POLICY,
        Array.from({ length: 6 }, () => ENDED),
      ).filter((field) => field.startsWith('Run of')),
    ).toHaveLength(5)
  })
})

describe('a policy as JSON', () => {
  const json = (members: Partial<Policy>, runs: PolicyRun[] = []): Record<string, unknown> =>
    policyJson({ ...POLICY, ...members }, runs, actor('operator'), NOW_MS)

  test('has what it asks for and where', () => {
    expect(json({}, [RUNNING, ENDED])).toMatchObject({ keep: 2, graceSeconds: 7200, nextRunAt: '2026-01-02T03:00:00.000Z', lastRun: { outcome: 'succeeded' } })
    expect(json({})).not.toContainAnyKeys(['follow', 'store', 'zone'])
    expect(json({ rule: { kind: 'follow', source: 'hub' }, scope: { kind: 'store', store: 'edge-a' } })).toMatchObject({ follow: 'hub', store: 'edge-a' })
    expect(json({ scope: { kind: 'zone', zone: 'zone-1' } })).toMatchObject({ zone: 'zone-1' })
  })

  test('has no times that it has not', () => {
    expect(json({ paused: true }, [RUNNING])).toMatchObject({ nextRunAt: null, lastRun: null })
  })
})

describe('a plan', () => {
  const planned = (name: string, members: Partial<PlannedCopy> = {}): PlannedCopy => ({
    ...{ name, key: name, target: 'edge-a', sources: [{ store: 'hub', imageId: 'img_1' }], why: 'new', bytes: 600_000, ...members },
  })
  const removal = { name: 'old', key: 'old', store: 'edge-b', imageIds: ['img_2'], keepers: [] }
  const finding: Finding = { kind: 'unmet', subject: 'debian', text: 'One copy is missing.', action: 'Add a store.' }
  const plan = (members: Partial<PolicyPlan>): PolicyPlan => ({ copies: [], removals: [], findings: [], moreFindings: 0, images: 3, ...members })

  test('has a row for each action', () => {
    expect(
      planRows(plan({ copies: [planned('debian'), planned('alpine', { why: 'repair', sources: [] })], removals: [removal] })).map(({ tone, cells }) => [
        tone,
        ...Object.values(cells),
      ]),
    ).toEqual([
      [undefined, 'copy', 'debian', 'hub', 'edge-a', '600 kB'],
      [undefined, 'repair', 'alpine', '–', 'edge-a', '600 kB'],
      ['warning', 'remove', 'old', '–', 'edge-b', '–'],
    ])
  })

  test('says how much it is about', () => {
    expect(planWords(plan({}))).toBe('It is about 3 images now: nothing to copy.')
    expect(planWords(plan({ copies: [planned('a'), planned('b')], removals: [removal], findings: [finding], moreFindings: 2 }))).toBe(
      'It is about 3 images now: 2 copies of images to make, up to 1.2 MB, 1 copy of an image to remove, 3 findings.',
    )
  })

  test('shows a hundred actions, and counts the rest', () => {
    const copies = (count: number): PlannedCopy[] => Array.from({ length: count }, (_, n) => planned(`disk-${n}`))
    expect([planRows(plan({ copies: copies(100) })).length, planNotes(plan({ copies: copies(100) }))]).toEqual([100, []])
    expect([planRows(plan({ copies: copies(99), removals: [removal] })).length, planNotes(plan({ copies: copies(99), removals: [removal] }))]).toEqual([
      100,
      [],
    ])
    expect([planRows(plan({ copies: copies(101) })).length, planNotes(plan({ copies: copies(101) }))]).toEqual([100, ['1 more actions are not shown.']])
    expect(planNotes(plan({ copies: copies(100), removals: [removal] }))).toEqual(['1 more actions are not shown.'])
  })

  test('has its findings with what to do, and counts the rest', () => {
    expect(planNotes(plan({ findings: [finding], moreFindings: 1 }))).toEqual(['One copy is missing. Add a store.', '1 more findings are not shown.'])
  })

  test('as JSON has sources, reasons and ids', () => {
    expect(planJson(plan({ copies: [planned('debian')], removals: [removal], findings: [finding], moreFindings: 2 }))).toEqual({
      images: 3,
      copies: [{ image: 'debian', store: 'edge-a', from: [{ store: 'hub', imageId: 'img_1' }], why: 'new', bytes: 600_000 }],
      removals: [{ image: 'old', store: 'edge-b', ids: ['img_2'] }],
      findings: [finding],
      moreFindings: 2,
    })
  })
})
