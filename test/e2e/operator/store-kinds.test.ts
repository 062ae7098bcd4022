// A store that takes certain kinds of images only, with real agents: other kinds are refused before a byte is taken, whatever the way in, and `store show`
// names the images of other kinds that are there.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { openTestBot, runCommand, runJson } from '../../bot/fixture.ts'
import { TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import { addImage, contentOf, startHubAndEdge, untilEnded } from '../../support/agents/hub-and-edge.ts'
import { descriptor, disc, volume } from '../../agent/images/formats/cases/iso-image.ts'
import { seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

// Processes on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(120_000)

const CONFIG = '[imports]\ninbox-settle = "300ms"\nallow = ["127.0.0.1"]\n[images]\nkinds = ["disk", "iso"]'

async function refusal(answer: Promise<Response>): Promise<string> {
  const response = await answer
  return `${response.status} ${((await response.json()) as { type: string }).type.replace('urn:slipway:problem:', '')}`
}

test('other kinds are refused on every way in, now and after a restart', async () => {
  await using home = await createTemporaryFolder()
  await using pair = await startHubAndEdge({ config: CONFIG })
  const { hub, edge, line } = pair
  const there = await addImage(hub, seededBytes(300_000, 4), 'of-the-hub')
  const held = await addImage(edge, seededBytes(200_000, 5), 'held-disk')
  using bot = openTestBot(home.path)
  for (const [name, url] of [
    ['edge-a', edge.url],
    ['hub', hub.url],
  ] as const)
    expect((await runCommand(bot, 'store', 'add', `name=${name}`, `url=${url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')).code).toBe(0)
  const edited = await runCommand(bot, 'store', 'edit', 'edge-a', 'kinds=iso,template')
  expect([edited.code, edited.output.replaceAll(/\s+/g, ' ')]).toEqual([
    0,
    expect.stringContaining(
      'edge-a holds 1 image of the kind disk, which it does not take any more: they stay usable. Move them with image migrate, or add their kinds to kinds=.',
    ),
  ])
  await edge.restart()
  expect((await runCommand(bot, 'store', 'edit', 'edge-a', `url=${edge.url}`)).code).toBe(0)
  const shown = await runJson(bot, 'store', 'show', 'edge-a')
  expect(shown.value).toMatchObject({ kinds: { accepted: ['iso', 'template'], configured: ['disk', 'iso'] } })
  expect((await runCommand(bot, 'store', 'show', 'edge-a')).output).toContain('iso, template (the configuration says disk, iso)')

  const tus = (metadata: string) =>
    fetch(`${edge.url}/v1/uploads`, {
      method: 'POST',
      headers: edge.headers({ 'tus-resumable': '1.0.0', 'upload-length': '4096', 'upload-metadata': metadata }),
    })
  const declared = (kind: string): string => `name ${btoa('one')},kind ${btoa(kind)}`
  expect(await refusal(tus(declared('disk')))).toBe('403 kind-not-accepted')
  expect(await refusal(tus(`name ${btoa('one')}`))).toBe('403 kind-not-accepted')
  // The draft of resumable uploads, with its bytes in the request.
  const draft = { 'upload-draft-interop-version': '6', 'upload-complete': '?1', 'content-disposition': 'attachment; filename="one.img"' }
  const sent = fetch(`${edge.url}/v1/uploads`, { method: 'POST', headers: edge.headers(draft), body: seededBytes(4096, 1) })
  expect(await refusal(sent)).toBe('403 kind-not-accepted')
  await using server = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => new Response(seededBytes(4096, 2)) })
  const imported = (kind?: string) =>
    fetch(`${edge.url}/v1/images`, {
      method: 'POST',
      headers: edge.headers({ 'content-type': 'application/json' }),
      body: JSON.stringify({ source: { url: `http://127.0.0.1:${server.port}/one.img` }, name: 'one', ...(kind === undefined ? {} : { kind }) }),
    })
  expect(await refusal(imported('disk'))).toBe('403 kind-not-accepted')
  expect(await refusal(imported())).toBe('403 kind-not-accepted')
  expect(
    await refusal(
      fetch(`${edge.url}/v1/images/${held}`, { method: 'PATCH', headers: edge.headers({ 'content-type': 'application/json' }), body: '{"kind":"snapshot"}' }),
    ),
  ).toBe('403 kind-not-accepted')

  const before = line.bytes.down
  const task = await untilEnded(edge, (await edge.client.sync({ source: { url: hub.url, token: pair.token }, images: [there] })).id)
  expect([task.state, JSON.stringify(task)]).toEqual(['failed', expect.stringContaining('kind-not-accepted')])
  // Pull-through shows the image, and fetches nothing of it.
  expect(await edge.client.images.get(there)).toMatchObject({ name: 'of-the-hub' })
  expect(await contentOf(edge, there)).toBe(403)
  expect(line.bytes.down - before).toBeLessThan(100_000)

  // In the inbox nobody declares a kind: the bytes show it.
  const inbox = `${edge.folder}/store/inbox`
  await mkdir(inbox, { recursive: true })
  for (const [name, bytes] of [
    ['a.img', seededBytes(70_000, 3)],
    ['b.iso', disc(volume(1), descriptor(255))],
  ] as const) {
    await writeFile(`${edge.folder}/${name}`, bytes)
    await rename(`${edge.folder}/${name}`, `${inbox}/${name}`)
  }
  const names = async (): Promise<string[]> => (await edge.client.images.list({ status: 'available' })).items.map(({ name }) => name).toSorted()
  await until('the ISO is an image', async () => (await names()).length === 2)
  expect(await names()).toEqual(['b.iso', 'held-disk'])
  await until('the disk is refused', async () =>
    (await edge.client.files.list('inbox/refused').catch(() => undefined))?.items.some(({ name }) => name === 'a.img'),
  )
  // The file is moved before its image is removed.
  await until('its image is removed', async () => (await edge.client.images.list({ status: 'error' })).items.length === 0)

  // A kind that it takes is taken, and what is there stays usable.
  expect((await tus(declared('template'))).status).toBe(201)
  expect(Buffer.isBuffer(await contentOf(edge, held))).toBe(true)
  expect((await runCommand(bot, 'store', 'edit', 'edge-a', 'kinds=all')).code).toBe(0)
  expect((await tus(`name ${btoa('one')}`)).status).toBe(201)
  const copied = await untilEnded(edge, (await edge.client.sync({ source: { url: hub.url, token: pair.token }, images: [there] })).id)
  expect(copied.state).toBe('succeeded')
})
