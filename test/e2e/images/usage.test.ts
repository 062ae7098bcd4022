// Usage of a running agent: prices of the configuration, restarts, removed images, and the command of the bot.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { startAgent } from '../../support/agents/agent-process.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'
import { openTestBot, runCommand, runJson } from '../../bot/fixture.ts'

setDefaultTimeout(120_000)

test('images count until they are removed, once, across restarts, and have a price', async () => {
  await using folder = await createTemporaryFolder()
  await using home = await createTemporaryFolder()
  await using agent = await startAgent(folder.path, { config: '[images]\nprice-per-gb-month = "123.45"\ndeletion = "immediate"\n' })
  const add = async (owner: string): Promise<string> => {
    const headers = agent.headers({
      'Tus-Resumable': '1.0.0',
      'Upload-Length': '5000',
      'Upload-Metadata': `owner ${btoa(owner)}`,
      'Content-Type': 'application/offset+octet-stream',
    })
    const answer = await fetch(`${agent.url}/v1/uploads`, { method: 'POST', headers, body: new Uint8Array(5000) })
    const id = (answer.headers.get('content-location') ?? '').split('/').at(-1) ?? ''
    await until('the image is available', async () => (await agent.client.images.get(id)).status === 'available')
    return id
  }
  const first = await add('ann')
  const second = await add('bob')
  await agent.client.images.delete(first)
  await agent.restart()
  const usage = await agent.client.usage()
  expect(usage.pricePerGbMonth).toBe('123.45')
  expect(usage.damagedRecords).toBe(0)
  expect(usage.items.map(({ imageId, owner, length }) => ({ imageId, owner, length }))).toEqual([
    { imageId: first, owner: 'ann', length: 5000 },
    { imageId: second, owner: 'bob', length: 5000 },
  ])
  const [gone, left] = usage.items
  expect(gone?.to).not.toBe(usage.asOf)
  expect(left?.to).toBe(usage.to)
  const byteMs = (Date.parse(gone?.to ?? '') - Date.parse(gone?.from ?? '')) * 5000
  expect((await agent.client.usage({ owner: 'ann' })).total.byteMilliseconds).toBe(String(byteMs))
  const csv = await fetch(`${agent.url}/v1/usage`, { headers: agent.headers({ Accept: 'text/csv' }) })
  expect((await csv.text()).split('\r\n')).toHaveLength(4)
  const viewer = await agent.client.tokens.create({ name: 'viewer', role: 'viewer' })
  expect((await fetch(`${agent.url}/v1/usage`, { headers: { authorization: `Bearer ${viewer.token}` } })).status).toBe(403)

  using bot = openTestBot(home.path)
  const { token } = await agent.client.tokens.create({ name: 'bot', role: 'admin' })
  expect((await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${token}`, 'zone=z')).code).toBe(0)
  const { value, code } = await runJson(bot, 'usage', 'list', 'store=edge-a', 'owner=ann')
  expect(code).toBe(0)
  expect(value).toMatchObject({ stores: [{ store: 'edge-a', pricePerGbMonth: '123.45', total: { byteMilliseconds: String(byteMs) } }], missing: [] })
  const month = usage.from.slice(0, 7)
  expect((await runCommand(bot, 'usage')).output).toContain(month)
  const year = Number(month.slice(0, 4))
  const ranged = await runCommand(bot, 'usage', 'list', `from=${year - 1}-12-01`, `to=${year}-02-01`)
  expect(ranged.output).toContain(`${year - 1}-12`)
  expect(ranged.output).toContain('total')
  // With the token of an uploader, the same command shows the usage of its subject.
  await using homeOfAnn = await createTemporaryFolder()
  using botOfAnn = openTestBot(homeOfAnn.path)
  const ann = await agent.client.tokens.create({ name: 'ann', role: 'uploader', subject: 'ann' })
  expect((await runCommand(botOfAnn, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${ann.token}`, 'zone=z')).code).toBe(0)
  expect((await runCommand(botOfAnn, 'usage')).output).toContain('Usage of ann')
  const own = (await runJson(botOfAnn, 'usage', 'list')).value
  expect(own).toMatchObject({ stores: [{ store: 'edge-a', owner: 'ann', total: { byteMilliseconds: String(byteMs) } }], missing: [] })
  const others = await runCommand(botOfAnn, 'usage', 'list', 'owner=bob')
  expect([others.code, others.output.includes('This token reports on the images of ann only.')]).toEqual([1, true])
  const refused = await runCommand(bot, 'usage', 'list', 'from=yesterday')
  expect(refused.output).toContain('from=yesterday is not a time.\n  Next  Write a day like 2026-11-01')
})
