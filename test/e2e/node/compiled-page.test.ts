// The compiled program, in a folder that is no checkout, serves upload pages with the script and the style that they load, and draws pictures of charts for Slack.

import { expect, test } from 'bun:test'
import { mkdirSync } from 'node:fs'
import { bundleAssets } from '../../../bot/gateway/assets.ts'
import { buildBot } from '../../../scripts/build-program.ts'
import { openTestBot } from '../../bot/fixture.ts'
import { minuteOf } from '../../bot/samples/fixture.ts'
import { startBotProcess } from '../../support/agents/bot-process.ts'
import { createFakeSlack } from '../../support/clients/fake-slack/fake-slack.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

test('the compiled program serves what upload pages load, and sends pictures to Slack', async () => {
  await using folder = await createTemporaryFolder()
  const home = folder.file('home')
  mkdirSync(home)
  const program = await buildBot(folder.file('programs'))
  using bot = openTestBot(home)
  bot.fleet.registry.add({ name: 'edge-a', url: 'http://127.0.0.1:1', token: 'x', zone: 'zone-1', provider: 'local', storeId: 'id-1' }, 0)
  bot.samples.record(new Map([['id-1', minuteOf(1_000_000)]]), Date.now() - 120_000)
  await using slack = createFakeSlack()
  const settings = { SLACK_BOT_TOKEN: 'xoxb-fake', SLACK_APP_TOKEN: 'xapp-fake', SLACK_API_URL: slack.apiUrl }
  await using service = await startBotProcess(home, [program], settings)
  const page = await (await fetch(`${service.proxy.url}/u/slu_${'x'.repeat(43)}`)).text()
  const bundled = await bundleAssets()
  for (const ending of ['js', 'css']) {
    const path = new RegExp(`"(/assets/upload-[0-9a-f]+\\.${ending})"`).exec(page)?.[1] ?? ''
    const asset = await fetch(service.proxy.url + path)
    const expected = bundled.get(`upload-page.${ending}`)
    expect([ending, asset.status, Buffer.from(await asset.arrayBuffer()).equals(expected ?? Buffer.alloc(0))]).toEqual([ending, 200, true])
  }
  await until('the bot is connected', () => slack.socketCount === 1)
  await slack.command('/slipway', 'store show edge-a --chart=used', { user: 'U1' })
  const file = await until('a picture', () => slack.files[0])
  expect(Buffer.from(file.bytes.subarray(1, 4)).toString()).toBe('PNG')
}, 60_000)
