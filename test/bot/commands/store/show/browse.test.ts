// Who may list which folders of a store through the bot, whose own token may list all of them.

import { expect, test } from 'bun:test'
import { runLine } from '../../../../../bot/commands/run.ts'
import type { Role } from '../../../../../protocol/access.ts'
import { createTemporaryFolder } from '../../../../support/machine/temporary-folder.ts'
import { openTestBot } from '../../../fixture.ts'

test('only operators can list folders of work in progress', async () => {
  await using folder = await createTemporaryFolder()
  using bot = openTestBot(folder.path)
  // No agent listens there: requests that are not refused fail to connect.
  bot.fleet.registry.add({ name: 'edge-a', url: 'http://127.0.0.1:1', token: 'x', zone: 'z', provider: 'local', storeId: null }, 0)
  const browse = async (role: Role, path: string): Promise<string> =>
    JSON.stringify((await runLine(bot.context({ name: 'ann', role }, 'slack'), `store browse edge-a ${path}`)).json)
  for (const path of ['uploads', 'uploads/upl_1', './uploads', '/uploads/', 'sync']) {
    expect(await browse('viewer', path)).toContain('Only operators can list')
    expect(await browse('operator', path)).not.toContain('Only operators can list')
  }
  expect(await browse('viewer', 'images')).not.toContain('Only operators can list')
})
