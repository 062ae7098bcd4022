// `image export`, `image exports` and the noun `export`, with a real agent.

import { expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { startAgent, TEST_ADMIN_TOKEN } from '../../../support/agents/agent-process.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { openTestBot, runCommand, runJson } from '../../fixture.ts'

test('exports are made, listed, linked and deleted', async () => {
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path)
  using bot = openTestBot(folder.file('home'))
  const store = ['name=edge-a', `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1']
  const planned = await runJson(bot, 'store', 'add', ...store, '--dry-run')
  expect(planned).toMatchObject({ code: 0, value: { dryRun: true, name: 'edge-a', url: agent.url, zone: 'zone-1', provider: 'local', warnings: [] } })
  expect(JSON.stringify(planned)).not.toContain(TEST_ADMIN_TOKEN)
  expect(bot.fleet.registry.list()).toEqual([])
  await runCommand(bot, 'store', 'add', ...store)
  const bytes = crypto.getRandomValues(new Uint8Array(60_000))
  await Bun.write(folder.file('disk.img'), bytes)
  expect((await runCommand(bot, 'image', 'upload', folder.file('disk.img'), 'store=edge-a', 'name=disk')).code).toBe(0)
  expect((await runCommand(bot, 'image', 'exports')).output).toContain('No exports.')

  const plan = await runJson(bot, 'image', 'export', 'disk', 'as=raw', '--dry-run')
  expect(plan).toMatchObject({ code: 0, value: { store: 'edge-a', dryRun: true, path: 'exports/disk.raw', length: 60_000, as: 'raw', objections: [] } })
  expect((await runCommand(bot, 'image', 'exports')).output).toContain('No exports.')
  expect(await runCommand(bot, 'image', 'export', 'disk', '--dry-run', '--download')).toMatchObject({
    code: 1,
    output: expect.stringContaining('--dry-run applies to files only'),
  })

  const made = await runJson(bot, 'image', 'export', 'disk')
  expect(made).toMatchObject({
    code: 0,
    value: { store: 'edge-a', kind: 'export', state: 'succeeded', result: { name: 'disk.img', path: 'exports/disk.img', length: 60_000 } },
  })
  const file = folder.file('store', 'exports', 'disk.img')
  expect(readFileSync(file).equals(bytes)).toBe(true)
  expect((await runCommand(bot, 'image', 'export', 'disk', '--dry-run')).output).toContain('Not possible now. Image disk was exported as exports/disk.img.')
  const again = await runCommand(bot, 'image', 'export', 'disk', 'as=qcow2')
  expect(again).toMatchObject({ code: 1, output: expect.stringContaining('was exported as exports/disk.img') })

  const listed = await runJson(bot, 'image', 'exports')
  expect(listed.value).toMatchObject({ items: [{ store: 'edge-a', imageName: 'disk', state: 'ready', path: 'exports/disk.img', length: 60_000 }] })
  expect(await runJson(bot, 'export', 'list', 'store=edge-a')).toMatchObject({ value: { items: listed.value['items'] } })
  expect((await runCommand(bot, 'export')).output).toContain('exports/disk.img')
  const image = String((listed.value['items'] as { image: string }[])[0]?.image)
  for (const [text, count] of [
    ['disk', 1],
    [image, 1],
    ['disk.img', 0],
    ['other', 0],
  ] as const)
    expect([text, (await runJson(bot, 'export', 'list', `image=${text}`)).value['items']]).toEqual([text, expect.objectContaining({ length: count })])

  const link = await runJson(bot, 'export', 'link', 'disk.img', 'for=2h')
  expect(link.value['curl']).toBe(`curl -fSsOJ '${String(link.value['url'])}'`)
  expect(Buffer.from(await (await fetch(String(link.value['url']))).arrayBuffer()).equals(bytes)).toBe(true)

  const id = String((listed.value['items'] as { id: string }[])[0]?.id)
  expect(await runCommand(bot, 'export', 'delete', 'nothing')).toMatchObject({ code: 1, output: expect.stringContaining('No export "nothing"') })
  expect(await runJson(bot, 'export', 'delete', 'disk')).toMatchObject({ code: 1, value: { confirm: 'disk.img', blocked: false } })
  expect(existsSync(file)).toBe(true)
  expect(await runJson(bot, 'export', 'delete', id, '--confirm', 'disk.img')).toMatchObject({ code: 0, value: { deleted: id } })
  expect(existsSync(file)).toBe(false)
  expect((await runJson(bot, 'image', 'export', 'disk', 'as=vhd')).value).toMatchObject({ result: { name: 'disk.vhd' } })
}, 60_000)

test('an image is downloaded at once in another format, without a file on the store', async () => {
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path)
  using bot = openTestBot(folder.file('home'))
  await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')
  await Bun.write(folder.file('disk.img'), crypto.getRandomValues(new Uint8Array(60_000)))
  expect((await runCommand(bot, 'image', 'upload', folder.file('disk.img'), 'store=edge-a', 'name=disk')).code).toBe(0)
  for (const words of [
    ['image', 'export', 'disk', 'as=qcow2', '--download', 'for=2h'],
    ['image', 'link', 'disk', 'as=qcow2'],
  ]) {
    const { value } = await runJson(bot, ...words)
    expect(String(value['url'])).toEndWith('&as=qcow2')
    const answer = await fetch(String(value['url']))
    expect(new Uint8Array(await answer.arrayBuffer()).subarray(0, 4)).toEqual(new Uint8Array([0x51, 0x46, 0x49, 0xfb]))
  }
  expect((await runJson(bot, 'image', 'exports')).value['items']).toEqual([])
  expect(await runCommand(bot, 'image', 'export', 'disk', 'as=vdi')).toMatchObject({ code: 1, output: expect.stringContaining('raw, qcow2, vmdk, vhd') })
  expect(await runCommand(bot, 'image', 'export', 'disk', 'for=2h')).toMatchObject({ code: 1, output: expect.stringContaining('for= applies to links only') })
}, 60_000)
