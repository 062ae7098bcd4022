// `image upload` in Slack with a real agent: the link goes to the person alone, and a card in the channel follows the upload to the image or to its end, also over
// a restart of the bot.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { readBotConfig } from '../../../bot/config.ts'
import { pairStore } from '../../../bot/pair.ts'
import { startBot } from '../../../bot/serve.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import { createLog } from '../../../bot/system/log.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import { createFakeSlack } from '../../support/clients/fake-slack/fake-slack.ts'
import type { Shown } from '../../support/clients/fake-slack/shown.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

// Processes and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(120_000)

const BYTES = { 'tus-resumable': '1.0.0', 'content-type': 'application/offset+octet-stream' }
const OPERATOR = { user: 'UOPER' }

async function start() {
  const stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const agent = stack.use(await startAgent(folder.path))
  const slack = stack.use(createFakeSlack())
  const home = folder.file('home')
  const environment = {
    SLIPWAY_HOME: home,
    SLACK_APP_TOKEN: 'xapp-fake',
    SLACK_BOT_TOKEN: 'xoxb-fake',
    SLACK_API_URL: slack.apiUrl,
    SLIPWAY_SLACK_OPERATORS: 'UOPER',
    SLIPWAY_SLACK_ADMINS: 'UADMIN',
  }
  pairStore(home, { name: 'edge-a', url: agent.url, token: TEST_ADMIN_TOKEN, zone: 'zone-1' })
  const lines: string[] = []
  const run = async () => {
    const bot = await startBot(readBotConfig(environment), {
      clock: systemClock,
      log: createLog({ clock: systemClock, level: 'info', write: (line) => lines.push(line) }),
    })
    await until('the bot is connected', () => slack.socketCount === 1)
    return bot
  }
  /** The last text of each message of the channel, as people see it. */
  const cards = (): string[] => {
    const last = new Map<string, string>()
    for (const { kind, ts, blocks, text } of slack.shown) if (kind === 'post' || kind === 'update') last.set(ts, `${text} ${JSON.stringify(blocks)}`)
    return [...last.values()]
  }
  const card = (part: string): Promise<string> => until(`a card that says ${part}`, () => cards().find((text) => text.includes(part)))
  /** Asks for a link; returns it as the private answer shows it. */
  const ask = async (line: string): Promise<{ url: string; answer: Shown }> => {
    const before = slack.shown.length
    await slack.command('/slipway', line, OPERATOR)
    const answer = await until('the private answer', () => slack.shown.slice(before).find(({ kind }) => kind === 'response' || kind === 'ephemeral'))
    const url = /http:\/\/127\.0\.0\.1:\d+\/v1\/uploads\?link=[\w-]+/.exec(JSON.stringify(answer.blocks))?.[0]
    if (url === undefined) throw new Error(`no link in ${JSON.stringify(answer.blocks)}`)
    return { url, answer }
  }
  return { agent, slack, lines, run, cards, card, ask, folder, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

test('a card follows an upload to its image, over a restart of the bot, and nobody else sees the link', async () => {
  await using it = await start()
  const { agent, slack } = it
  const first = await it.run()
  const { url, answer } = await it.ask('image upload store=edge-a name=linked kind=template owner=ann max=1GB')
  expect(answer.inChannel).toBe(false)
  await it.card('waiting for the file')
  const created = await fetch(url, { method: 'POST', headers: { ...BYTES, 'upload-length': '300000' }, body: new Uint8Array(100_000).fill(1) })
  const location = new URL(created.headers.get('location') ?? '', url)
  await it.card('uploading')
  await first[Symbol.asyncDispose]()
  // Nobody follows while the upload ends.
  const sent = await fetch(location, { method: 'PATCH', headers: { ...BYTES, 'upload-offset': '100000' }, body: new Uint8Array(200_000).fill(2) })
  expect(sent.status).toBe(204)
  const second = await it.run()
  await it.card('Image linked is available')
  const [image] = (await agent.client.images.list({ name: 'linked' })).items
  expect(image).toMatchObject({ kind: 'template', owner: 'ann', length: 300_000 })
  const [link] = (await agent.client.links.list()).items
  expect(link).toMatchObject({ state: 'completed', createdBy: 'name-UOPER (UOPER) via admin', imageId: image?.id ?? 'none' })

  const secret = new URL(url).searchParams.get('link') ?? 'none'
  const seenByAll = slack.shown.filter(({ kind, inChannel }) => kind === 'post' || kind === 'update' || inChannel)
  expect(JSON.stringify([seenByAll, it.lines])).not.toContain(secret)
  expect(slack.shown.filter(({ kind }) => kind === 'post')).toHaveLength(1)
  const before = slack.shown.length
  await slack.command('/slipway', 'audit list', { user: 'UADMIN' })
  const audit = await until('the audit log', () => slack.shown.slice(before).find(({ kind }) => kind === 'response'))
  expect(JSON.stringify(audit.blocks)).toContain('image upload')
  expect(JSON.stringify(audit.blocks)).not.toContain(secret)
  expect(slack.failures).toEqual([])
  await second[Symbol.asyncDispose]()
})

test('a card ends with the reason: a revoked link, a deleted upload, an image that cannot be used', async () => {
  await using it = await start()
  await using _bot = await it.run()
  const { slack, agent } = it

  await it.ask('image upload store=edge-a name=unwanted')
  await it.card('Upload of unwanted to edge-a')
  const post = await until('the card', () => slack.shown.find(({ kind, text }) => kind === 'post' && text.includes('unwanted')))
  await slack.press(post, 'Revoke', OPERATOR)
  await it.card('The link was revoked.')

  const deleted = await it.ask('image upload store=edge-a name=deleted')
  const created = await fetch(deleted.url, { method: 'POST', headers: { ...BYTES, 'upload-length': '5000' }, body: 'begin' })
  await it.card('Upload of deleted to edge-a')
  await fetch(new URL(created.headers.get('location') ?? '', deleted.url), { method: 'DELETE', headers: BYTES })
  await it.card('The upload was deleted before its end.')

  const wrong = await it.ask('image upload store=edge-a name=wrong format=qcow2')
  const bytes = new Uint8Array(4096).fill(7)
  expect((await fetch(wrong.url, { method: 'POST', headers: { ...BYTES, 'upload-length': '4096' }, body: bytes })).status).toBe(201)
  await it.card('The image cannot be used:')
  expect((await agent.client.links.list()).items.map(({ name, state }) => [name, state])).toEqual([
    ['unwanted', 'revoked'],
    ['deleted', 'cancelled'],
    ['wrong', 'completed'],
  ])
  expect(slack.failures).toEqual([])
})
