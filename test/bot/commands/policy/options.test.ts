// What the options of policy add and policy edit mean, at their bounds and one past them.

import { expect, test } from 'bun:test'
import { policyName, readPolicyOptions, requireSound } from '../../../../bot/commands/policy/options.ts'
import type { PolicyOptions } from '../../../../bot/commands/policy/options.ts'
import type { Policy } from '../../../../bot/policies/policy.ts'
import { openScriptedFleet } from '../scripted-fleet.ts'

const DAY_MS = 86_400_000
/** A list of so many labels. */
const labels = (count: number): string => Array.from({ length: count }, (_, n) => `k${n}`).join(',')

function read(options: PolicyOptions): Partial<Policy> {
  using it = openScriptedFleet({ 'edge-a': {}, hub: {} })
  return readPolicyOptions(it.bot.context({ name: 'ann', role: 'admin' }, 'console'), options)
}

test.each<[PolicyOptions, Partial<Policy>]>([
  [{}, {}],
  [{ keep: '1' }, { rule: { kind: 'keep', copies: 1 } }],
  [{ keep: '16' }, { rule: { kind: 'keep', copies: 16 } }],
  [{ follow: 'HUB' }, { rule: { kind: 'follow', source: 'hub' } }],
  [{ store: 'edge-a' }, { scope: { kind: 'store', store: 'edge-a' } }],
  [{ zone: 'zone-1' }, { scope: { kind: 'zone', zone: 'zone-1' } }],
  [{ zone: '' }, { scope: { kind: 'all' } }],
  [{ label: '' }, { labels: [] }],
  [{ label: 'team' }, { labels: [{ key: 'team', value: undefined }] }],
  [{ label: 'env=test,team=web' }, { labels: [{ key: 'env', value: 'test' }, { key: 'team', value: 'web' }] }], // prettier-ignore
  [{ kind: '' }, { kinds: [] }],
  [{ kind: ' base ,,template,' }, { kinds: ['base', 'template'] }],
  [{ cron: ' 0 3 * * * ' }, { cron: '0 3 * * *' }],
  [{ timezone: 'Europe/Berlin' }, { timezone: 'Europe/Berlin' }],
  [{ grace: '0' }, { graceMs: 0 }],
  [{ grace: '30m' }, { graceMs: 1_800_000 }],
  [{ grace: '30d' }, { graceMs: 30 * DAY_MS }],
])('%j sets %j and nothing else', (options, members) => {
  expect(read(options)).toEqual(members)
})

test.each<[PolicyOptions, string]>([
  [{ keep: '0' }, 'keep=0 is not a number of copies.'],
  [{ keep: '17' }, 'keep=17 is not a number of copies.'],
  [{ keep: '001' }, 'keep=001 is not a number of copies.'],
  [{ keep: '1', follow: 'hub' }, 'A policy keeps a number of copies or follows a store, and not both.'],
  [{ store: 'edge-a', zone: 'zone-1' }, 'The copies of a policy go to a store or to a zone.'],
  [{ zone: 'zone-9' }, 'No store is in zone "zone-9".'],
  [{ label: '-x' }, 'label=-x is not a list of labels.'],
  [{ label: 'team,-x' }, 'label=team,-x is not a list of labels.'],
  [{ label: 'env=a\u0000b' }, 'label=env=a\u0000b is not a list of labels.'],
  [{ label: labels(65) }, `label=${labels(65)} is not a list of labels.`],
  [{ grace: '30.1d' }, 'grace=30.1d is not a duration of at most 30 days.'],
  [{ grace: 'soon' }, 'grace=soon is not a duration of at most 30 days.'],
])('%j is refused: %s', (options, detail) => {
  expect(() => read(options)).toThrow(detail)
})

test('sixty-four labels are the most', () => {
  expect(read({ label: labels(64) }).labels).toHaveLength(64)
})

test('the name of a policy can be written in a command', () => {
  for (const name of ['p', 'two-copies', 'A.b_c-9', '9', `p${'x'.repeat(62)}`]) expect(policyName(name)).toBe(name)
  for (const name of ['', '-p', '.p', 'a b', 'ä', `p${'x'.repeat(63)}`]) expect(() => policyName(name)).toThrow('cannot be the name of a policy.')
})

test.each<[Pick<Policy, 'rule' | 'scope'>, string | undefined]>([
  [{ rule: { kind: 'keep', copies: 2 }, scope: { kind: 'zone', zone: 'zone-1' } }, undefined],
  [{ rule: { kind: 'keep', copies: 1 }, scope: { kind: 'store', store: 'hub' } }, undefined],
  [{ rule: { kind: 'keep', copies: 2 }, scope: { kind: 'store', store: 'hub' } }, 'hub is one store and cannot have 2 copies.'],
  [{ rule: { kind: 'follow', source: 'edge-a' }, scope: { kind: 'store', store: 'hub' } }, undefined],
  [{ rule: { kind: 'follow', source: 'Hub' }, scope: { kind: 'store', store: 'hub' } }, 'hub cannot follow itself.'],
  [{ rule: { kind: 'follow', source: 'hub' }, scope: { kind: 'all' } }, undefined],
])('%j fits together unless it says %p', (terms, detail) => {
  const check = (): void => requireSound({ ...terms, cron: '0 3 * * *', timezone: 'UTC' }, Date.UTC(2026, 0, 1))
  if (detail === undefined) check()
  else expect(check).toThrow(detail)
})

test('a time that never comes is refused', () => {
  const terms = { rule: { kind: 'keep', copies: 1 }, scope: { kind: 'all' } } as const
  expect(() => requireSound({ ...terms, cron: '0 0 31 2 *', timezone: 'UTC' }, Date.UTC(2026, 0, 1))).toThrow(
    'cron="0 0 31 2 *" in the time zone UTC cannot be used: it never fires.',
  )
})
