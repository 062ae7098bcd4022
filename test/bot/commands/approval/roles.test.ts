// Who sees a request for a second person, and who lacks the role to approve it: by store, and for the whole fleet.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { missingRole, oneApproval, seesApproval } from '../../../../bot/commands/approval/find.ts'
import { resultWords } from '../../../../bot/commands/policy/policy-rows.ts'
import { askSecondPerson, needsSecondPerson } from '../../../../bot/commands/second-person.ts'
import type { AskedPlan } from '../../../../bot/commands/second-person.ts'
import type { CommandContext } from '../../../../bot/commands/command.ts'
import { runLine } from '../../../../bot/commands/run.ts'
import { openBot } from '../../../../bot/open.ts'
import { openMemoryDatabase } from '../../../../bot/system/database.ts'
import type { ApprovalDraft, ApprovalRule } from '../../../../bot/approvals/approvals.ts'
import type { Role } from '../../../../protocol/access.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const subjectIn = (store: string) => ({ kind: 'image' as const, store, id: 'img_1', name: 'disk' })

const DRAFT: ApprovalDraft = {
  ...{ title: 'Purge', question: 'Purge disk?', reason: 'It cannot be brought back.', facts: [], command: 'image purge disk store=edge-a' },
  ...{ line: 'image purge disk store=edge-a --plan=x --confirm disk', plan: 'x', role: 'operator', subjects: [subjectIn('edge-a')] },
  ...{ requester: 'UASK', requesterName: 'ada', channel: 'C1' },
}

function open(rule: ApprovalRule = 'strict') {
  const bot = openBot('', { clock: createManualClock(), database: openMemoryDatabase(), approvalRule: rule })
  for (const name of ['edge-a', 'edge-b'])
    bot.fleet.registry.add({ name, url: `http://${name}.example`, token: 'x', zone: 'zone-1', provider: 'local', storeId: null }, 0)
  const request = (draft: Partial<ApprovalDraft> = {}) => {
    const asked = bot.approvals.request({ ...DRAFT, ...draft }, Date.UTC(2026, 0, 1))
    if (!('approval' in asked)) throw new Error('it was not requested')
    return asked.approval
  }
  /** A person with a role, and roles in single stores. */
  const as = (id: string, role: Role, inStores: Readonly<Record<string, Role>> = {}): CommandContext =>
    bot.context({ id, name: id, role, roleIn: ({ name }) => inStores[name] ?? role }, 'slack')
  return { bot, request, as, [Symbol.dispose]: () => bot[Symbol.dispose]() }
}

describe('a request is seen', () => {
  test.each([
    ['by the person who asked', 'UASK', 'viewer', {}, ['edge-a'], true],
    ['not by another viewer', 'UOTHER', 'viewer', {}, ['edge-a'], false],
    ['not by another uploader', 'UOTHER', 'uploader', {}, ['edge-a'], false],
    ['by an operator of the fleet', 'UOTHER', 'operator', {}, ['edge-a'], true],
    ['by an admin', 'UOTHER', 'admin', {}, [], true],
    ['by an operator of its store', 'UOTHER', 'viewer', { 'edge-a': 'operator' }, ['edge-a'], true],
    ['not by an operator of another store', 'UOTHER', 'viewer', { 'edge-b': 'operator' }, ['edge-a'], false],
    ['not by an operator of one of its stores', 'UOTHER', 'viewer', { 'edge-a': 'operator' }, ['edge-a', 'edge-b'], false],
    ['not by an operator of a store when it names none', 'UOTHER', 'viewer', { 'edge-a': 'operator' }, [], false],
    ['not by an operator of a store when its own is gone', 'UOTHER', 'viewer', { 'edge-a': 'operator' }, ['edge-gone'], false],
  ] as const)('%s', (_who, id, role, inStores, stores, isSeen) => {
    using it = open()
    const approval = it.request({ subjects: stores.map(subjectIn) })
    const context = it.as(id, role, inStores)
    expect(seesApproval(context, approval)).toBe(isSeen)
    if (isSeen) expect(oneApproval(context, `#${approval.id}`).id).toBe(approval.id)
    else expect(() => oneApproval(context, String(approval.id))).toThrow(`There is no request ${approval.id}.`)
  })
})

describe('to approve it, a person', () => {
  test.each([
    ['who is an operator lacks nothing', 'operator', {}, 'operator', undefined],
    ['who is an operator of the store lacks nothing', 'viewer', { 'edge-a': 'operator' }, 'operator', undefined],
    ['who is an uploader lacks the role in the store', 'uploader', {}, 'operator', { where: 'edge-a', has: 'uploader' }],
    ['who is an operator of another store lacks it', 'viewer', { 'edge-b': 'operator' }, 'operator', { where: 'edge-a', has: 'viewer' }],
    ['who is an operator lacks what needs an admin', 'operator', {}, 'admin', { where: 'edge-a', has: 'operator' }],
  ] as const)('%s', (_who, role, inStores, needs, missing) => {
    using it = open()
    expect(missingRole(it.as('UOTHER', role, inStores), it.request({ role: needs }))).toEqual(missing)
  })

  test('needs the role for the whole fleet where the command acts on it, or is not known any more', () => {
    using it = open()
    const ofStore = it.as('UOTHER', 'viewer', { 'edge-a': 'admin' })
    const fleetWide = it.request({ subjects: [], line: 'store delete edge-a --confirm edge-a', role: 'admin' })
    expect(missingRole(ofStore, fleetWide)).toEqual({ where: 'the fleet', has: 'viewer' })
    expect(missingRole(it.as('UOTHER', 'admin'), fleetWide)).toBeUndefined()
    const unknown = it.request({ line: 'image vanish disk' })
    expect(missingRole(it.as('UOTHER', 'operator'), unknown)).toEqual({ where: 'the fleet', has: 'operator' })
  })
})

describe('without the role', () => {
  const run = (it: ReturnType<typeof open>, id: string, line: string) => runLine(it.as(id, 'operator'), line)

  test.each(['approve', 'deny'])('approval %s changes nothing', async (verb) => {
    using it = open()
    const { id } = it.request({ role: 'admin' })
    expect(await run(it, 'UOTHER', `approval ${verb} ${id}`)).toMatchObject({
      outcome: 'refused',
      text: `To ${verb} image purge needs the role admin in edge-a; UOTHER has operator.`,
    })
    expect(it.bot.approvals.find(id)?.state).toBe('waiting')
  })

  test('a person withdraws a request of their own', async () => {
    using it = open()
    const { id } = it.request({ role: 'admin' })
    expect((await run(it, 'UASK', `approval cancel ${id}`)).outcome).toBe('done')
    expect(it.bot.approvals.find(id)?.state).toBe('cancelled')
  })

  test('a press that was refused does not use up the button', () => {
    using it = open()
    const decisions = it.as('UASK', 'admin').commands.filter(({ noun, isRepeatable }) => noun === 'approval' && isRepeatable)
    expect(decisions.map(({ verb }) => verb)).toEqual(['approve', 'deny', 'cancel'])
  })
})

describe('a second person', () => {
  const NEED = { reason: 'It cannot be brought back.', subjects: [subjectIn('edge-a')] }

  test.each([
    ['on', {}, true],
    ['on', { isReversible: true }, false],
    ['strict', {}, true],
    ['strict', { isReversible: true }, true],
    ['off', {}, false],
  ] as const)('under the rule %s, a plan with %j waits for one: %p', (rule, more, waits) => {
    using it = open(rule)
    expect(needsSecondPerson(it.as('UASK', 'admin'), { ...NEED, ...more })).toBe(waits)
    const console = it.bot.context({ name: 'ann', role: 'admin' }, 'console')
    expect(needsSecondPerson(console, { ...NEED, ...more })).toBe(false)
  })

  test('is missed in the answer unless somebody else has the role', () => {
    const plan: AskedPlan = { title: 'Purge', question: 'Purge?', names: ['disk'], command: 'image purge disk store=edge-a', hash: 'x', facts: [], need: NEED }
    const nobody = [expect.stringContaining('Nobody else has the role operator.')]
    using it = open()
    const notes = (id: string) => askSecondPerson(it.as(id, 'admin'), plan).notes
    expect(notes('U1')).toEqual(nobody)
    it.bot.roles.grant({ subject: 'user:U1', role: 'admin', zone: '', store: '', channel: '' }, 'ann', 0)
    expect(notes('U1')).toEqual(nobody)
    it.bot.roles.grant({ subject: 'user:U2', role: 'uploader', zone: '', store: '', channel: '' }, 'ann', 0)
    expect(notes('U1')).toEqual(nobody)
    it.bot.roles.grant({ subject: 'user:U3', role: 'operator', zone: '', store: '', channel: '' }, 'ann', 0)
    expect(notes('U1')).toEqual([])
  })
})

test('the result of a policy names images to operators only', () => {
  const run = { outcome: 'failed', result: 'disk could not be copied', endedMs: 1 } as Parameters<typeof resultWords>[0]
  const words = (role: Role): string => resultWords(run, { name: 'ann', role })
  expect(words('viewer')).toBe('Failed; an operator sees why.')
  expect(words('uploader')).toBe('Failed; an operator sees why.')
  expect(words('operator')).toContain('disk could not be copied')
})
