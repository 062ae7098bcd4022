// What the audit log has of Slack: commands, presses, submissions and refusals, with who, where and how.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { visibleText } from '../../support/clients/fake-slack/shown.ts'
import { until } from '../../support/until.ts'
import { ADMIN, seen, startSlackBot } from './fixture.ts'

// Processes and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

/** Rows in the order in which they were written, without the rows that a later one ends. */
function rows(it: Awaited<ReturnType<typeof startSlackBot>>): string[] {
  const all = it.bot.audit.list({ limit: 100, reads: true }).toReversed()
  return all.map(({ actor, role, channel, via, effect, command, outcome, detail }) => [actor, role, channel, via, effect, command, outcome, detail].join(' | '))
}

test('commands, presses, names, confirmations and refusals are recorded', async () => {
  await using it = await startSlackBot()
  const person = { user: 'UVIEW', channel: 'C7' }
  await it.slack.command('/slipway', 'store cleanup edge-a', person)
  await seen(it.slack, 'response')
  await it.slack.command('/slipway', 'store cleanup edge-a', { user: 'UOPER', channel: 'C7' })
  const card = await seen(it.slack, 'post')
  await it.slack.press(card, 'Cancel', person)
  await seen(it.slack, 'response', 2)
  await it.slack.press(card, 'Cancel', { user: 'UOPER', channel: 'C7' })
  await until('the task is cancelled', () => [...it.agent.tasks.values()].some(({ state }) => state === 'cancelled'))
  await it.slack.command('/slipway', 'store delete edge-a', { ...ADMIN, channel: 'C7' })
  const modal = await until('the question', () => it.slack.shown.find((shown) => shown.kind === 'modal' && visibleText(shown).includes('Type edge-a')))
  await it.slack.submit(modal.view ?? {}, { name: 'edge-b' }, ADMIN)
  await it.slack.submit(modal.view ?? {}, { name: 'edge-a' }, ADMIN)
  await until('the store is deleted', () => it.bot.fleet.registry.find('edge-a') === undefined)
  const found = await until('all rows', () => (rows(it).length === 7 && rows(it).every((row) => !row.includes('| begun |')) ? rows(it) : undefined))
  const [task] = it.agent.tasks.values()
  expect(found).toEqual([
    'name-UVIEW (UVIEW) | viewer | C7 | typed | write | store cleanup edge-a | refused | store cleanup needs the role operator; name-UVIEW (UVIEW) has viewer.',
    'name-UOPER (UOPER) | operator | C7 | typed | write | store cleanup edge-a | done | Cleanup of edge-a',
    `name-UVIEW (UVIEW) | viewer | C7 | button | decision | task cancel ${task?.id} | refused | This button needs the role operator; you have viewer.`,
    `name-UOPER (UOPER) | operator | C7 | button | write | task cancel ${task?.id} | done | Cancel ${task?.id}`,
    'name-UADMIN (UADMIN) | admin | C7 | typed | destroy | store delete edge-a | asked | Delete edge-a from the registry',
    'name-UADMIN (UADMIN) | admin | UADMIN | confirmation | decision | store delete edge-a | refused | The typed name is another one.',
    'name-UADMIN (UADMIN) | admin | C7 | confirmation | destroy | store delete edge-a | done | Removed edge-a from the registry',
  ])
})

test('a press of a button that is not known is recorded without a command, and a form that was submitted with its secrets hidden', async () => {
  await using it = await startSlackBot()
  await it.slack.command('/slipway', 'store add', ADMIN)
  const modal = await seen(it.slack, 'modal')
  await it.slack.submit(modal.view ?? {}, { name: 'edge-b', url: 'http://127.0.0.1:1', token: 'slp_hidden', zone: 'z1' }, ADMIN)
  const [, form] = await until('both rows', () => (rows(it).length >= 2 && !rows(it)[1]?.includes('| begun |') ? rows(it) : undefined))
  expect(form).toStartWith('name-UADMIN (UADMIN) | admin | C1 | form | write | store add ')
  expect(form).toContain('token=***')
  it.bot.database.run('DELETE FROM buttons')
  await it.slack.command('/slipway', 'stor list')
  const unclear = await seen(it.slack, 'response')
  it.bot.database.run('DELETE FROM buttons')
  await it.slack.press(unclear, 'store list')
  await until('the press', () => rows(it).length >= 4)
  expect(rows(it).slice(2)).toEqual([
    'name-U1 (U1) | viewer | C1 | typed | read | (not understood) | unclear | ',
    'name-U1 (U1) | viewer | C1 | button | decision |  | refused | This button has expired, or was used already.',
  ])
})
