// Who may list which folders of a store through the bot, whose own token may list them all.

import { expect, test } from 'bun:test'
import { runLine } from '../../../bot/commands/run.ts'
import type { Role } from '../../../protocol/access.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { openTestBot } from '../fixture.ts'

test('folders of work in progress are listed for operators only', async () => {
  await using folder = await createTemporaryFolder()
  using bot = openTestBot(folder.path)
  // Nobody listens there: what is not refused finds no agent.
  bot.fleet.registry.add({ name: 'edge-a', url: 'http://127.0.0.1:1', token: 'x', zone: 'z', provider: 'local', storeId: null }, 0)
  const browse = async (role: Role, path: string): Promise<string> =>
    JSON.stringify((await runLine(bot.context({ name: 'ann', role }, 'slack'), `store browse edge-a ${path}`)).json)
  for (const path of ['uploads', 'uploads/upl_1', './uploads', '/uploads/', 'sync']) {
    expect(await browse('viewer', path)).toContain('listed for operators only')
    expect(await browse('operator', path)).not.toContain('listed for operators only')
  }
  expect(await browse('viewer', 'images')).not.toContain('listed for operators only')
})
