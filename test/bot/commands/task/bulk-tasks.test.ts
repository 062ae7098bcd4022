// Bulk runs among tasks: how many a list shows, and when a retry asks for the name again.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { openScriptedFleet, page } from '../scripted-fleet.ts'
import type { ScriptedFleet } from '../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

/** Records a deletion of these images that was cancelled before its first, and returns its number. */
function cancelledRun({ bot, clock }: ScriptedFleet, names: readonly string[]): number {
  const draft = { verb: 'delete', title: 'Delete images', params: {}, origin: '', surface: 'console', actor: 'ann', actorId: '', channel: '' } as const
  const items = names.map((name) => ({ store: 'edge-a', image: `img_${name}`, name, length: 10, params: {} }))
  const begun = bot.bulkRuns.begin(draft, items, 'me', clock.nowMs())
  if (begun.kind !== 'begun') throw new Error(begun.kind)
  bot.bulkRuns.cancel(begun.run.id, 'ann', clock.nowMs())
  bot.bulkRuns.finish({ id: begun.run.id, owner: 'me' }, clock.nowMs())
  return begun.run.id
}

test('task list shows 20 of them', async () => {
  using it = openScriptedFleet({ 'edge-a': { 'GET /tasks': page([]) } })
  for (let i = 0; i < 21; i++) cancelledRun(it, ['a'])
  expect((await it.run('task list')).rows).toHaveLength(20)
})

test('a retry of what destroys asks for the name, also for one image', async () => {
  using it = openScriptedFleet({ 'edge-a': { 'GET /tasks': page([]) } })
  const id = cancelledRun(it, ['a'])
  expect((await it.run(`task retry B${id}`)).confirm?.name).toBe('1 image')
})
