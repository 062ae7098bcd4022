// A person uploads a qcow2 in Chromium by the page of a link, through the bot and straight to the agent. The upload is cut in the middle, the tab is closed and opened
// again, and the same file continues it. Two tabs send the same file, and the browser goes offline in the middle.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout } from 'bun:test'
import { hasTool, requireTool } from '../../support/require.ts'
import { until } from '../../support/until.ts'
import { DISK_LENGTH, openBrowserUpload, sendFile } from './browser-upload.ts'
import type { BrowserUpload } from './browser-upload.ts'

setDefaultTimeout(120_000)

/** Bytes after which the network holds the rest back, until the connection is cut. */
const HELD_BYTES = 2 * 1024 * 1024
const canRun = hasTool('chromium', 'chromium') && hasTool('qemu-img', 'qemu-utils')
const browserTest = hasTool('chromium', 'chromium') ? requireTool('qemu-img', 'qemu-utils') : requireTool('chromium', 'chromium')

describe('an upload in the browser', () => {
  let world: BrowserUpload

  beforeAll(async () => {
    if (canRun) world = await openBrowserUpload()
  })
  afterAll(() => world?.[Symbol.asyncDispose]())

  /** Returns the address of the page of a new link. */
  async function linkPage(name: string, way: 'direct' | 'gateway'): Promise<string> {
    const { agent, agentLine, service, bot } = world
    // Without the origin of the page in the link, the agent does not let the page call it, and the browser goes through the bot.
    const origin = way === 'direct' ? { origin: new URL(service.proxy.url).origin } : {}
    const link = await agent.client.links.create({ kind: 'upload', name, ...origin })
    const path = bot.uploadPages.add({ store: 'edge-a', ...link, url: link.url.replace(agent.url, agentLine.url) })
    return new URL(path, service.proxy.url).href
  }

  /** Waits until the agent has bytes of an upload. */
  const begun = (name: string) =>
    until('the agent has bytes', async () => (await world.agent.client.uploads.list()).items.find((one) => one.name === name && one.offset > 0))

  for (const way of ['direct', 'gateway'] as const) {
    browserTest(`by the page of a link, ${way}`, async () => {
      const { agentLine, service, browser, file } = world
      const name = `by-link-${way}`
      const url = await linkPage(name, way)
      const faults: string[] = []
      await using context = await browser.newContext()
      const line = way === 'direct' ? agentLine : service.proxy
      const first = await world.open(context, url, faults)
      line.holdAt(line.bytes.up + HELD_BYTES)
      await sendFile(first, file)
      const upload = await begun(name)
      expect(await first.getAttribute('#uploader', 'data-way')).toBe(way)
      line.cutAll()
      await first.close()
      line.holdAt(Number.POSITIVE_INFINITY)
      const second = await world.open(context, url, faults)
      await sendFile(second, file)
      await second.getByText('The image is in edge-a.').waitFor()
      expect(faults).toEqual([])
      expect(await second.textContent('#sentence')).toBe('The image is in edge-a. You can close this page.')
      expect(await second.textContent('#found')).toMatch(/Formatqcow2/)
      expect(upload.offset).toBeGreaterThan(0)
      const image = await world.image(name)
      expect([image.format, image.virtualSize]).toEqual(['qcow2', DISK_LENGTH])
      expect(image.digest).toBe(`sha256:${new Bun.CryptoHasher('sha256').update(await Bun.file(file).bytes()).digest('hex')}`)
    })
  }

  for (const tabs of ['with locks', 'without locks, as on a page without TLS'] as const) {
    browserTest(`in two tabs at once becomes one image, and each tab says so, ${tabs}`, async () => {
      const { agent, agentLine, browser, file } = world
      const name = `twice ${tabs}`
      const url = await linkPage(name, 'direct')
      await using context = await browser.newContext()
      if (tabs !== 'with locks') await context.addInitScript("Object.defineProperty(Navigator.prototype, 'locks', { value: undefined })")
      const [first, second] = [await world.open(context, url, []), await world.open(context, url, [])]
      agentLine.holdAt(agentLine.bytes.up + HELD_BYTES)
      await sendFile(first, file)
      await begun(name)
      await sendFile(second, file)
      if (tabs === 'with locks')
        await second.getByText('Another tab of this browser sends debian.qcow2. Continue there; or close that tab, then press Retry here.').waitFor()
      agentLine.holdAt(Number.POSITIVE_INFINITY)
      const word = 'The image is in edge-a. You can close this page.'
      await first.getByText(word).waitFor()
      if (tabs === 'with locks') await second.click('.uppy-StatusBar-actionBtn--retry')
      await second.getByText(word).waitFor()
      for (const tab of [first, second]) await tab.locator('.uppy-StatusBar.is-complete').waitFor()
      expect((await agent.client.images.list()).items.filter((one) => one.name === name)).toHaveLength(1)
      expect((await agent.client.uploads.list()).items).toEqual([])
    })
  }

  browserTest('goes on by itself after the browser was offline, and each change is said', async () => {
    const { agentLine, browser, file } = world
    const url = await linkPage('offline', 'direct')
    await using context = await browser.newContext()
    const tab = await world.open(context, url, [])
    let requests = 0
    tab.on('request', (request) => void (request.method() === 'PATCH' && requests++))
    const sentence = (text: string): Promise<void> => tab.locator('#sentence', { hasText: text }).waitFor()
    agentLine.holdAt(agentLine.bytes.up + HELD_BYTES)
    await sendFile(tab, file)
    const { offset } = await begun('offline')
    await sentence('The file is being sent.')
    await context.setOffline(true)
    await sentence('The browser is offline. What has arrived is kept, and the upload continues when the connection is back.')
    // Chromium lets requests go on that have begun.
    agentLine.cutAll()
    agentLine.holdAt(Number.POSITIVE_INFINITY)
    await context.setOffline(false)
    await sentence('The image is in edge-a.')
    await context.setOffline(true)
    await context.setOffline(false)
    expect(await tab.textContent('#sentence')).toBe('The image is in edge-a. You can close this page.')
    expect([offset > 0, requests]).toEqual([true, 2])
    expect(await world.image('offline')).toMatchObject({ virtualSize: DISK_LENGTH })
  })
})
