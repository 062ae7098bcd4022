// What a person sees of a task, by role.

import { expect, test } from 'bun:test'
import { visibleTask } from '../../../../bot/commands/task/visible-task.ts'
import type { Role } from '../../../../protocol/access.ts'
import { taskSchema } from '../../../../protocol/task.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createMemoryAgent } from '../../../support/memory/memory-agent.ts'
import { COMMANDS } from '../../../../bot/commands/table.ts'
import { parseWords } from '../../../../bot/commands/parse.ts'
import { runParsed } from '../../../../bot/commands/run.ts'
import { openTestBot, runCommand } from '../../fixture.ts'

const IMAGE = 'img_01jd3m5v8xk2qf7r9w4b6c8d0e'
const SYNC = taskSchema.parse({
  id: 'tsk_01jd3m5v8xk2qf7r9w4b6c8d0e',
  kind: 'sync',
  state: 'failed',
  progress: { done: 1, total: 4, unit: 'bytes', rate: 0, etaSeconds: null },
  subject: IMAGE,
  createdBy: 'admin',
  createdAt: '2026-01-01T00:00:00.000Z',
  endedAt: '2026-01-01T00:01:00.000Z',
  detail: 'Copies secret-plans.',
  result: { images: [{ id: IMAGE, name: 'secret-plans' }] },
  error: {
    type: 'urn:slipway:problem:conflict',
    title: 'Conflict',
    status: 409,
    detail: 'Image secret-plans is there.',
    action: 'Rename secret-plans.',
    names: ['secret-plans'],
  },
  children: [{ subject: IMAGE, name: 'secret-plans', state: 'failed', outcome: 'failed' }],
})

test.each(['viewer', 'uploader'] as const)('a %s sees that a task failed, and not on which image', (role) => {
  expect(visibleTask(SYNC, role)).toEqual({
    id: SYNC.id,
    kind: 'sync',
    state: 'failed',
    progress: SYNC.progress,
    subject: '–',
    createdBy: 'admin',
    createdAt: '2026-01-01T00:00:00.000Z',
    endedAt: '2026-01-01T00:01:00.000Z',
    error: { type: 'urn:slipway:problem:conflict', title: 'Conflict', status: 409, detail: 'Conflict.', action: 'An operator sees the whole reason.' },
  })
})

test('operators and administrators see all of a task; a task on a store keeps its subject and its times', () => {
  expect(visibleTask(SYNC, 'operator')).toBe(SYNC)
  expect(visibleTask(SYNC, 'admin')).toBe(SYNC)
  const gc = { ...SYNC, kind: 'gc' as const, subject: 'edge-a', continuesAt: '2026-01-02T00:00:00.000Z', pausedAt: '2026-01-01T12:00:00.000Z' }
  expect(visibleTask(gc, 'viewer')).toMatchObject({ subject: 'edge-a', continuesAt: '2026-01-02T00:00:00.000Z', pausedAt: '2026-01-01T12:00:00.000Z' })
})

test('task list and task show leave out what a viewer may not see', async () => {
  await using folder = await createTemporaryFolder()
  await using agent = createMemoryAgent('edge-a')
  using bot = openTestBot(folder.path)
  await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${agent.token}`, 'zone=z')
  agent.tasks.set(SYNC.id, SYNC)
  for (const words of [
    ['task', 'list'],
    ['task', 'show', SYNC.id],
  ]) {
    const seen = async (role: Role): Promise<string> => {
      const parsed = parseWords(
        COMMANDS,
        words.map((text) => ({ text, literal: false })),
      )
      return JSON.stringify(await runParsed(bot.context({ name: 'somebody', role }, 'slack'), parsed))
    }
    expect(await seen('operator')).toContain('secret-plans')
    const asViewer = await seen('viewer')
    expect(asViewer).toContain(SYNC.id)
    expect(asViewer).not.toContain('secret-plans')
    expect(asViewer).not.toContain(IMAGE)
  }
})
