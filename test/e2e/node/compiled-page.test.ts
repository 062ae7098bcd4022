// The compiled program, in a folder that is no checkout, serves upload pages with the script and the style that they load.

import { expect, test } from 'bun:test'
import { mkdirSync } from 'node:fs'
import { bundleAssets } from '../../../bot/gateway/assets.ts'
import { buildBot } from '../../../scripts/build-program.ts'
import { openTestBot } from '../../bot/fixture.ts'
import { startBotProcess } from '../../support/agents/bot-process.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

test('the compiled program serves what upload pages load', async () => {
  await using folder = await createTemporaryFolder()
  const home = folder.file('home')
  mkdirSync(home)
  const program = await buildBot(folder.file('programs'))
  using bot = openTestBot(home)
  bot.fleet.registry.add({ name: 'edge-a', url: 'http://127.0.0.1:1', token: 'x', zone: 'zone-1', provider: 'local', storeId: null }, 0)
  await using service = await startBotProcess(home, [program])
  const page = await (await fetch(`${service.proxy.url}/u/slu_${'x'.repeat(43)}`)).text()
  const bundled = await bundleAssets()
  for (const ending of ['js', 'css']) {
    const path = new RegExp(`"(/assets/upload-[0-9a-f]+\\.${ending})"`).exec(page)?.[1] ?? ''
    const asset = await fetch(service.proxy.url + path)
    const expected = bundled.get(`upload-page.${ending}`)
    expect([ending, asset.status, Buffer.from(await asset.arrayBuffer()).equals(expected ?? Buffer.alloc(0))]).toEqual([ending, 200, true])
  }
}, 60_000)
