// Which copies `policy run --removes` removes: each is checked again right before, and what stays must be undamaged.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { removeCopies } from '../../../../bot/commands/policy/remove-copies.ts'
import type { PlannedRemoval } from '../../../../bot/policies/plan.ts'
import { imageOf, openScriptedFleet, refuse } from '../scripted-fleet.ts'
import type { Script } from '../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const disk = (n: number) => imageOf(n, { name: `disk-${n}` })

const REMOVAL: PlannedRemoval = {
  ...{ name: 'disk-1', key: 'k', store: 'edge-a', imageIds: [disk(1).id, disk(2).id] },
  keepers: [
    { store: 'hub', imageId: disk(1).id },
    { store: 'spare', imageId: disk(3).id },
  ],
}

/** Removes copies of edge-a, while hub and spare have these images. */
async function remove(hub: unknown, spare: unknown, { script = {}, removal = REMOVAL }: { readonly script?: Script; readonly removal?: PlannedRemoval } = {}) {
  using it = openScriptedFleet({
    hub: { [`GET /images/${disk(1).id}`]: hub },
    spare: { [`GET /images/${disk(3).id}`]: spare },
    'edge-a': {
      [`DELETE /images/${disk(1).id}`]: { ...disk(1), status: 'deleted' },
      [`DELETE /images/${disk(2).id}`]: { ...disk(2), status: 'deleted' },
      ...script,
    },
  })
  const context = it.bot.context({ name: 'ann', role: 'admin' }, 'console')
  const { policies, policyRuns, audit } = context
  policies.add({
    ...{ name: 'p', rule: { kind: 'keep', copies: 1 }, scope: { kind: 'all' }, labels: [], kinds: [], graceMs: 0 },
    ...{ cron: '0 3 * * *', timezone: 'UTC', paused: false, createdMs: 0, anchorMs: 0 },
  })
  const run = policyRuns.begin({ policy: 'p', cause: 'command', actor: 'ann' }, 0)
  if (!run) throw new Error('no run')
  const failures = await removeCopies(context, run, [removal])
  const after = policyRuns.list('p')[0]
  expect(after?.failures).toEqual(failures)
  expect((after?.leaseMs ?? 0) - it.clock.nowMs()).toBe(120_000)
  const rows = audit.list({ limit: 5 }).map(({ actor, surface, command, target, outcome, detail }) => [actor, surface, command, target, outcome, detail])
  return { failures, removed: after?.removed, deleted: it.asked.filter((request) => request.includes('DELETE')).length, rows }
}

test('a copy is removed while every copy that stays is undamaged, and the audit log has it', async () => {
  expect(await remove(disk(1), disk(3))).toEqual({
    ...{ failures: [], removed: 1, deleted: 2 },
    rows: [['ann', 'console', 'policy run p --removes', 'edge-a', 'done', 'Removed the copy of disk-1 in edge-a']],
  })
})

test.each([
  ['is gone', refuse('not-found', 'There is no such image.')],
  ['is damaged', { ...disk(3), status: 'degraded' }],
])('a copy stays when one that was to stay %s', async (_what, spare) => {
  expect(await remove(disk(1), spare)).toMatchObject({
    ...{ removed: 0, deleted: 0, rows: [] },
    failures: [{ name: 'disk-1', target: 'edge-a', reason: 'spare has no undamaged copy of disk-1 any more, so the one in edge-a stays.' }],
  })
})

test('a copy stays when a store that was to keep one was removed', async () => {
  const removal = { ...REMOVAL, keepers: [{ store: 'gone', imageId: disk(1).id }] }
  expect(await remove(disk(1), disk(3), { removal })).toMatchObject({ removed: 0, deleted: 0 })
})

test('an image that is gone already counts as removed, and one that the agent refuses to delete does not', async () => {
  expect(await remove(disk(1), disk(3), { script: { [`DELETE /images/${disk(2).id}`]: refuse('not-found', 'There is no such image.') } })).toMatchObject({
    removed: 1,
  })
  expect(await remove(disk(1), disk(3), { script: { [`DELETE /images/${disk(1).id}`]: refuse('conflict', 'It is protected.') } })).toMatchObject({
    ...{ removed: 0, deleted: 1, rows: [] },
    failures: [{ reason: 'It is protected.' }],
  })
})

test('nothing is removed from a store that is not registered any more', async () => {
  expect(await remove(disk(1), disk(3), { removal: { ...REMOVAL, store: 'gone' } })).toMatchObject({
    ...{ removed: 0, deleted: 0 },
    failures: [{ target: 'gone', reason: 'gone was removed meanwhile.' }],
  })
})
