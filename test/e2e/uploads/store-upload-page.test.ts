// An uploader of one zone uploads in Chromium by the page of a store: with a name and a digest, through the bot and straight to the agent, with a cut and a closed tab;
// files that are dropped, paused and resumed, a wrong file, two tabs, a browser that goes offline, and a session that ends in the middle.

import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout } from 'bun:test'
import type { BrowserContext, Page } from 'playwright-core'
import { hasTool, requireTool } from '../../support/require.ts'
import { until } from '../../support/until.ts'
import { DISK_LENGTH, dropFiles, openBrowserUpload, sendFile } from './browser-upload.ts'
import type { BrowserUpload } from './browser-upload.ts'

setDefaultTimeout(120_000)

/** Bytes after which the network holds the rest back. */
const HELD_BYTES = 2 * 1024 * 1024
const PERSON = { id: 'U0ANN', name: 'ann (U0ANN)' }
const canRun = hasTool('chromium', 'chromium') && hasTool('qemu-img', 'qemu-utils')
const browserTest = hasTool('chromium', 'chromium') ? requireTool('qemu-img', 'qemu-utils') : requireTool('chromium', 'chromium')

describe('the upload page of a store', () => {
  let world: BrowserUpload
  let digest: string

  beforeAll(async () => {
    if (!canRun) return
    world = await openBrowserUpload()
    world.bot.roles.grant({ subject: 'user:U0ANN', role: 'uploader', zone: 'zone-1', store: '', channel: '' }, 'test', 0)
    digest = `sha256:${new Bun.CryptoHasher('sha256').update(await Bun.file(world.file).bytes()).digest('hex')}`
  })
  afterEach(() => {
    if (!world) return
    world.agentLine.setFaults({})
    for (const line of [world.agentLine, world.service.proxy]) line.holdAt(Number.POSITIVE_INFINITY)
  })
  afterAll(() => world?.[Symbol.asyncDispose]())

  /** A browser in which the uploader has entered. The name `localhost` is another origin than the one that links allow, so uploads from there go through the bot. */
  async function enter(host: '127.0.0.1' | 'localhost'): Promise<{ context: BrowserContext; url: string }> {
    const origin = world.service.proxy.url.replace('127.0.0.1', host)
    const context = await world.browser.newContext()
    const tab = await context.newPage()
    await tab.goto(`${origin}/enter/${world.bot.page.links.issue(PERSON).secret}`)
    await tab.getByRole('button', { name: 'Enter' }).click()
    await tab.waitForURL(`${origin}/`)
    await tab.close()
    return { context, url: `${origin}/stores/edge-a/upload` }
  }

  const entry = async (tab: Page, text: string | RegExp): Promise<string> => {
    const found = tab.locator('#results li', { hasText: text })
    await found.waitFor()
    return (await found.textContent()) ?? ''
  }
  /** Waits until the agent has bytes of an upload. */
  const begun = (name: string) =>
    until('the agent has bytes', async () => (await world.agent.client.uploads.list()).items.find((one) => one.name === name && one.offset > 0))
  const imagesNamed = async (name: string): Promise<number> => (await world.agent.client.images.list()).items.filter((one) => one.name === name).length

  for (const [way, host] of [['direct', '127.0.0.1'] as const, ['gateway', 'localhost'] as const]) {
    browserTest(`uploads a file under a name and with its digest, ${way}, and goes on after a cut in another tab`, async () => {
      const { agent, agentLine, service, bot, file } = world
      const name = `named-${way}`
      const { context, url } = await enter(host)
      await using _context = context
      const faults: string[] = []
      const first = await world.open(context, url, faults)
      const line = way === 'direct' ? agentLine : service.proxy
      await first.setInputFiles('input[type=file]', file)
      await first.click('.uppy-Dashboard-Item-action--edit')
      // The Dashboard moves the focus to the first field a moment after it has opened the card. What is typed then goes there.
      const nameField = first.getByLabel('Name of the image')
      await nameField.and(first.locator(':focus')).waitFor()
      await nameField.fill(name)
      await first.getByLabel('Expected digest').fill(digest)
      await first.click('.uppy-Dashboard-FileCard-actionsBtn[type=submit]')
      expect((await agent.client.links.list()).items.filter((link) => link.name === name)).toHaveLength(0)
      line.holdAt(line.bytes.up + HELD_BYTES)
      await first.click('.uppy-StatusBar-actionBtn--upload')
      const { offset } = await begun(name)
      expect(await first.getAttribute('#uploader', 'data-way')).toBe(way)
      line.cutAll()
      await first.close()
      line.holdAt(Number.POSITIVE_INFINITY)
      const second = await world.open(context, url, faults)
      await second.getByText('Not finished in this browser: debian.qcow2.').waitFor()
      await sendFile(second, file)
      expect(await entry(second, 'The image is in edge-a.')).toMatch(/debian\.qcow2: The image is in edge-a\..*Formatqcow2/)
      await second.getByRole('link', { name: `Show ${name}` }).click()
      await second.getByRole('heading', { name }).first().waitFor()
      expect(faults).toEqual([])
      expect(offset).toBeGreaterThan(0)
      expect(await world.image(name)).toMatchObject({ format: 'qcow2', virtualSize: DISK_LENGTH, digest })
      expect(await imagesNamed(name)).toBe(1)
      const rows = bot.audit.list({ limit: 50 }).filter(({ command }) => command.includes(`name=${name}`))
      expect(rows.map(({ actor, surface, outcome }) => [actor, surface, outcome])).toContainEqual([PERSON.name, 'page', 'done'])
    })
  }

  browserTest('of several files says of each what the store found, and refuses a wrong one with the next step', async () => {
    const { context, url } = await enter('127.0.0.1')
    await using _context = context
    const broken = new Uint8Array(70_000)
    broken.set([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3])
    await Bun.write(world.path('broken.qcow2'), broken)
    await Bun.write(world.path('empty.raw'), '')
    await Bun.write(world.path('small.raw'), new Uint8Array(5000).fill(1))
    const tab = await world.open(context, url, [])
    await tab.setInputFiles(
      'input[type=file]',
      ['broken.qcow2', 'empty.raw', 'small.raw'].map((name) => world.path(name)),
    )
    await tab.click('.uppy-StatusBar-actionBtn--upload')
    expect(await entry(tab, /broken\.qcow2: edge-a refused/)).toMatch(/^broken\.qcow2: edge-a refused the image: .* Then choose the right file\./)
    await entry(tab, /small\.raw: The image is in edge-a/)
    await entry(tab, /empty\.raw: edge-a refused the image: The upload was empty/)
    await tab.locator('.uppy-StatusBar.is-complete').waitFor()
  })

  browserTest('takes files that are dropped together, sends nothing while they are paused, and completes them when they are resumed', async () => {
    const { context, url } = await enter('127.0.0.1')
    await using _context = context
    const { agent, agentLine, file } = world
    const names = ['left.qcow2', 'right.qcow2']
    for (const name of names) await Bun.write(world.path(name), Bun.file(file))
    const tab = await world.open(context, url, [])
    await dropFiles(
      tab,
      names.map((name) => world.path(name)),
    )
    let requests = 0
    tab.on('request', (request) => void (request.method() === 'PATCH' && requests++))
    // Slow enough that the second file begins before the first is complete.
    agentLine.setFaults({ bytesPerSecond: 256 * 1024 })
    await tab.getByRole('button', { name: 'Upload 2 files' }).click()
    for (const name of names) await begun(name)
    await tab.getByRole('button', { name: 'Pause', exact: true }).click()
    await tab.getByText('Paused. What has arrived is kept. Press Resume').waitFor()
    agentLine.setFaults({})
    agentLine.cutAll()
    // A request that was cut and not paused would be repeated at once.
    for (let i = 0; i < 20; i++) expect((await agent.client.uploads.list()).items).toHaveLength(2)
    expect(requests).toBe(2)
    await tab.getByRole('button', { name: 'Resume', exact: true }).click()
    for (const name of names) {
      await entry(tab, `${name}: The image is in edge-a.`)
      expect(await world.image(name)).toMatchObject({ digest })
    }
    expect(await tab.textContent('#sentence')).toBe('Everything was sent. What the store says of each file is below.')
  })

  browserTest('sends a file from one tab at a time, and uploads it once', async () => {
    const { context, url } = await enter('localhost')
    await using _context = context
    const { proxy } = world.service
    const [first, second] = [await world.open(context, url, []), await world.open(context, url, [])]
    const once = world.path('once.qcow2')
    await Bun.write(once, Bun.file(world.file))
    proxy.holdAt(proxy.bytes.up + HELD_BYTES)
    await sendFile(first, once)
    await begun('once.qcow2')
    await sendFile(second, once)
    expect(await entry(second, 'Another tab')).toBe(
      'once.qcow2: Another tab of this browser sends once.qcow2. Continue there; or close that tab, then press Retry here.',
    )
    proxy.holdAt(Number.POSITIVE_INFINITY)
    await entry(first, 'The image is in edge-a.')
    await second.click('.uppy-StatusBar-actionBtn--retry')
    await entry(second, 'The image is in edge-a.')
    // Nothing is left to press that would send it again.
    for (const tab of [first, second]) await tab.locator('.uppy-StatusBar.is-complete').waitFor()
    await world.image('once.qcow2')
    expect(await imagesNamed('once.qcow2')).toBe(1)
  })

  browserTest('goes on after the browser was offline and the session has ended, and then begins no other file', async () => {
    const { context, url } = await enter('localhost')
    await using _context = context
    const { proxy } = world.service
    const tab = await world.open(context, url, [])
    const kept = world.path('kept.qcow2')
    await Bun.write(kept, Bun.file(world.file))
    proxy.holdAt(proxy.bytes.up + HELD_BYTES)
    await sendFile(tab, kept)
    await begun('kept.qcow2')
    await context.setOffline(true)
    proxy.cutAll()
    await tab.getByText('The browser is offline. What has arrived is kept').waitFor()
    for (const { id } of world.bot.page.sessions.list()) world.bot.page.sessions.revoke(id)
    proxy.holdAt(Number.POSITIVE_INFINITY)
    await context.setOffline(false)
    await entry(tab, 'The image is in edge-a.')
    expect(await world.image('kept.qcow2')).toMatchObject({ digest })
    await Bun.write(world.path('late.raw'), new Uint8Array(5000).fill(2))
    await tab.click('.uppy-DashboardContent-addMore')
    await tab.setInputFiles('input[type=file]', world.path('late.raw'))
    await tab.click('.uppy-StatusBar-actionBtn--upload')
    expect(await entry(tab, /^late/)).toMatch(/^late\.raw: Your session has ended\..* run the command web in Slack or in the console/)
  })
})
