// Stores that are gone: what the bot says of their images, and a bot that is killed while it reads the images of a store.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { openTestBot, runCommand, runJson } from '../../bot/fixture.ts'
import { imageOf } from '../../bot/commands/scripted-fleet.ts'
import { openBot } from '../../../bot/open.ts'
import type { OpenBot } from '../../../bot/open.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import { fingerprintText, isOpenImage, NO_IMAGES, withImage } from '../../../protocol/images/fingerprint.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import { botProgram } from '../../support/agents/programs.ts'
import { startSimulatedFleet } from '../../support/agents/simulated-fleet.ts'
import { uploadedImage } from '../../support/agents/uploaded-image.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

// Processes on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(180_000)

interface ServedBot extends AsyncDisposable {
  kill(): Promise<void>
}

/** Starts the service in a process of its own. */
function serve(home: string): ServedBot {
  const child = Bun.spawn([...botProgram(), 'serve'], {
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'inherit',
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], SLIPWAY_HOME: home, SLIPWAY_BOT_LOG: 'error' },
  })
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await child.exited
  }
  return { kill, [Symbol.asyncDispose]: kill }
}

const rows = (value: Record<string, unknown>): Record<string, unknown>[] => value['items'] as Record<string, unknown>[]
const isComplete = (bot: OpenBot, name: string, images: number): boolean => {
  const held = bot.catalogue.of(name)
  return held?.asOfMs !== null && held?.images === images
}

test('images of a killed agent are listed with the status that their files are unavailable, and come back with it', async () => {
  await using folder = await createTemporaryFolder()
  await using a = await startAgent(folder.file('a'))
  await using b = await startAgent(folder.file('b'))
  using bot = openTestBot(folder.file('home'))
  for (const [name, agent] of [
    ['edge-a', a],
    ['edge-b', b],
  ] as const)
    // prettier-ignore
    expect((await runCommand(bot, 'store', 'add', `name=${name}`, `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')).code).toBe(0)
  const sole = await uploadedImage(a, 'sole', 1)
  const shared = await uploadedImage(a, 'shared', 2)
  const binned = await uploadedImage(a, 'binned', 3)
  expect((await runCommand(bot, 'image', 'sync', 'shared', 'to=edge-b')).code).toBe(0)
  await using _service = serve(folder.file('home'))
  await until('the images were read', () => isComplete(bot, 'edge-a', 3) && isComplete(bot, 'edge-b', 1))
  await a.client.images.delete(binned)
  await until('the deletion was heard of', () => {
    const held = bot.catalogue.of('edge-a')
    return held !== undefined && bot.catalogue.list(held, { isBin: true, isAll: true, limit: 9 }).length === 1
  })
  expect(rows((await runJson(bot, 'image', 'list')).value).map(({ store, name, status }) => [store, name, status])).toEqual([
    ['edge-a', 'shared', 'available'],
    ['edge-b', 'shared', 'available'],
    ['edge-a', 'sole', 'available'],
  ])

  await a.kill()
  const isKnownStopped = async (): Promise<boolean> => ((await runJson(bot, 'store', 'show', 'edge-a')).value['state'] as string) === 'stopped'
  await until('the service knows that the agent is gone', isKnownStopped, 90_000)
  const list = await runJson(bot, 'image', 'list')
  expect(list.code).toBe(0)
  expect(rows(list.value).map(({ store, name, status, fromCatalogue }) => [store, name, status, fromCatalogue !== undefined])).toEqual([
    ['edge-b', 'shared', 'available', false],
    ['edge-a', 'shared', 'fileUnavailable', true],
    ['edge-a', 'sole', 'fileUnavailable', true],
  ])
  expect(rows(list.value)[2]).toMatchObject({
    id: sole,
    kind: 'template',
    fromCatalogue: { lastStatus: 'available', since: expect.any(String), asOf: expect.any(String) },
  })
  expect(list.value['missing']).toMatchObject([{ store: 'edge-a', state: 'stopped' }])
  const text = (await runCommand(bot, 'image', 'list')).output
  expect(text).toMatch(/sole +edge-a \(Stopped\) +File unavailable since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, was Available/)
  expect(text).toMatch(
    /edge-a has been Stopped since .*: its 3 images, with the recycle bin, are from the catalogue of the bot, as of .* old\), and their files are unavailable\./,
  )
  expect((await runJson(bot, 'image', 'bin')).value['items']).toMatchObject([
    { store: 'edge-a', name: 'binned', status: 'deleted', fromCatalogue: { lastStatus: 'deleted' } },
  ])
  expect((await runJson(bot, 'image', 'list', 'status=available')).value['items']).toMatchObject([{ store: 'edge-b' }])
  expect((await runCommand(bot, 'image', 'list', 'label=env=production')).output).toContain('does not know label=')
  expect((await runJson(bot, 'image', 'show', 'sole')).value).toMatchObject({
    id: sole,
    status: 'fileUnavailable',
    stores: [{ store: 'edge-a', status: 'fileUnavailable' }],
  })
  expect((await runJson(bot, 'image', 'show', 'shared')).value).toMatchObject({
    id: shared,
    status: 'available',
    stores: [
      { store: 'edge-b', status: 'available' },
      { store: 'edge-a', status: 'fileUnavailable' },
    ],
  })

  await a.restart({ environment: { SLIPWAY_NETWORK_LISTEN: new URL(a.url).host } })
  // The service notices at its next attempt; a store that is named is asked at once.
  expect((await runJson(bot, 'image', 'show', 'sole', 'store=edge-a')).value).toMatchObject({ id: sole, status: 'available' })
  await a.kill()

  const asked = await runCommand(bot, 'store', 'delete', 'edge-a', '--unreachable')
  expect(asked.output).toMatch(/Images in edge-a\s+● as of .*, 2 images \(shared, sole\): they stay on the disk/)
  expect(asked.output).toMatch(/Images only in edge-a\s+● 1 image \(sole\): no other store that answers has them/)
  expect((await runCommand(bot, 'store', 'delete', 'edge-a', '--unreachable', '--confirm', 'edge-a')).code).toBe(0)
  expect((await runJson(bot, 'image', 'list')).value['items']).toMatchObject([{ store: 'edge-b' }])
  expect((await runCommand(bot, 'image', 'list', 'store=edge-a')).output).toContain('edge-a was removed from the registry')
  expect((await runJson(bot, 'image', 'show', 'sole')).value).toMatchObject({
    status: 'fileUnavailable',
    statusReason: 'The store was removed from the registry.',
  })

  await a.restart()
  // prettier-ignore
  expect((await runCommand(bot, 'store', 'add', 'name=edge-c', `url=${a.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')).code).toBe(0)
  expect((await runJson(bot, 'image', 'show', 'sole')).value).toMatchObject({ status: 'available', stores: [{ store: 'edge-c' }] })
  expect(bot.catalogue.of('edge-c')?.images).toBe(3)
})

test('a bot that is killed while it reads the images of a store goes on and has all of them', async () => {
  await using folder = await createTemporaryFolder()
  await using fleet = startSimulatedFleet(1)
  const [agent] = fleet.agents
  if (!agent) throw new Error('there is no agent')
  const images = Array.from({ length: 2_000 }, (_unused, i) => imageOf(i, { digest: `sha256:${String(i).padStart(64, '0')}` }))
  const sum = images.reduce((all, image) => withImage(all, { ...image, isOpen: isOpenImage(image) }, 1), NO_IMAGES)
  agent.store = { ...agent.store, imagesFingerprint: fingerprintText(sum) }
  let heldFrom = 750
  let release = (): void => {}
  agent.answer = (request, path) => (path === 'v1/images' ? page(request) : undefined)
  const page = async (request: Request): Promise<Response> => {
    const query = new URL(request.url).searchParams
    if (query.get('status') === 'deleted') return Response.json({ items: [], next: null })
    const from = Number(query.get('cursor') ?? 0)
    // The page at which the bot is killed.
    if (from >= heldFrom) await new Promise<void>((resolve) => (release = resolve))
    const to = from + Number(query.get('limit'))
    return Response.json({ items: images.slice(from, to), next: to < images.length ? String(to) : null })
  }
  using bot = openBot(folder.path, { clock: systemClock })
  bot.fleet.registry.add({ name: 'edge-a', url: agent.url, token: agent.token, zone: 'z', provider: 'local', storeId: agent.store.id }, systemClock.nowMs())
  {
    await using first = serve(folder.path)
    await until('a part was read', () => bot.catalogue.of('edge-a')?.images === 750, 90_000)
    await first.kill()
  }
  expect(bot.catalogue.of('edge-a')).toMatchObject({ images: 750, asOfMs: null })
  heldFrom = Number.POSITIVE_INFINITY
  release()
  await using _second = serve(folder.path)
  await until('all were read', () => isComplete(bot, 'edge-a', 2_000), 90_000)
  expect(bot.catalogue.of('edge-a')?.fingerprint).toBe(fingerprintText(sum))
})
