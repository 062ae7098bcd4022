// A person uploads a qcow2 in Chromium: by the page of a link and by the page of a store, through the bot and straight to the agent. The upload is cut in the middle,
// the tab is closed and opened again, and the same file continues it.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout } from 'bun:test'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { openTestBot } from '../../bot/fixture.ts'
import type { OpenBot } from '../../../bot/open.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { startBotProcess } from '../../support/agents/bot-process.ts'
import type { BotProcess } from '../../support/agents/bot-process.ts'
import { createCuttingProxy } from '../../support/clients/cutting-proxy.ts'
import type { CuttingProxy } from '../../support/clients/cutting-proxy.ts'
import { startChromium } from '../../support/clients/chromium.ts'
import { makeNoiseFile } from '../../support/images/noise-file.ts'
import { run } from '../../support/images/small-image.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { hasTool, requireTool } from '../../support/require.ts'
import { until } from '../../support/until.ts'

setDefaultTimeout(120_000)

const MIB = 1024 * 1024
const LENGTH = 6 * MIB
/** Bytes after which the network holds the rest back, until the connection is cut. */
const HELD_BYTES = 2 * MIB
const browserTest = hasTool('chromium', 'chromium') ? requireTool('qemu-img', 'qemu-utils') : requireTool('chromium', 'chromium')

describe('an upload in the browser', () => {
  let folder: Awaited<ReturnType<typeof createTemporaryFolder>>
  let agent: AgentProcess
  /** Between the bot or the browser and the agent. */
  let agentProxy: CuttingProxy
  let service: BotProcess
  let bot: OpenBot
  let browser: Browser
  let file: string

  beforeAll(async () => {
    if (!hasTool('chromium', 'chromium') || !hasTool('qemu-img', 'qemu-utils')) return
    folder = await createTemporaryFolder()
    await makeNoiseFile(folder.file('noise.raw'), LENGTH, 11)
    file = folder.file('debian.qcow2')
    await run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', folder.file('noise.raw'), file)
    agent = await startAgent(folder.path)
    agentProxy = await createCuttingProxy(Number(new URL(agent.url).port))
    bot = openTestBot(folder.file('home'))
    bot.fleet.registry.add({ name: 'edge-a', url: agentProxy.url, token: TEST_ADMIN_TOKEN, zone: 'zone-1', provider: 'local', storeId: null }, 0)
    service = await startBotProcess(folder.file('home'))
    browser = await startChromium()
  })
  afterAll(async () => {
    await browser?.close()
    await service?.[Symbol.asyncDispose]()
    bot?.[Symbol.dispose]()
    await agentProxy?.[Symbol.asyncDispose]()
    await agent?.[Symbol.asyncDispose]()
    await folder?.[Symbol.asyncDispose]()
  })

  /** Opens a page and notes everything that its policy forbids, and every request to another origin. */
  async function open(context: BrowserContext, url: string, faults: string[]): Promise<Page> {
    const page = await context.newPage()
    page.on('console', (message) => {
      if (/Content Security Policy/.test(message.text())) faults.push(message.text())
    })
    page.on('pageerror', (error) => faults.push(String(error)))
    page.on('request', (request) => {
      const { origin, protocol } = new URL(request.url())
      if (protocol.startsWith('http') && ![service.proxy.url, agentProxy.url].some((own) => new URL(own).origin === origin)) faults.push(request.url())
    })
    await page.goto(url)
    await page.waitForSelector('#uploader[data-ready]')
    return page
  }

  async function choose(page: Page): Promise<void> {
    await page.setInputFiles('input[type=file]', file)
    await page.click('.uppy-StatusBar-actionBtn--upload')
  }

  /** Uploads with a cut and a closed tab in the middle. Returns what the page said at the end, and what it must not have done. */
  async function uploadWithCut(
    url: string,
    way: 'direct' | 'gateway',
    name: string,
  ): Promise<{ faults: string[]; sentence: string; found: string; resumedAt: number }> {
    const faults: string[] = []
    await using context = await browser.newContext()
    const line = way === 'direct' ? agentProxy : service.proxy
    const first = await open(context, url, faults)
    line.holdAt(line.bytes.up + HELD_BYTES)
    await choose(first)
    const upload = await until('the agent has bytes', async () => (await agent.client.uploads.list()).items.find((one) => one.name === name && one.offset > 0))
    expect(await first.getAttribute('#uploader', 'data-way')).toBe(way)
    line.cutAll()
    await first.close()
    line.holdAt(Number.POSITIVE_INFINITY)
    const second = await open(context, url, faults)
    await choose(second)
    await until('the page shows the image', async () => /The image is in edge-a/.test((await second.textContent('#sentence')) ?? ''))
    const sentence = (await second.textContent('#sentence')) ?? ''
    return { faults, sentence, found: (await second.textContent('#found')) ?? '', resumedAt: upload.offset }
  }

  async function expectImage(name: string): Promise<void> {
    const image = await until('the image is available', async () =>
      (await agent.client.images.list()).items.find((one) => one.name === name && one.status === 'available' && one.digest !== null),
    )
    expect([image.format, image.virtualSize]).toEqual(['qcow2', LENGTH])
    expect(image.digest).toBe(`sha256:${new Bun.CryptoHasher('sha256').update(await Bun.file(file).bytes()).digest('hex')}`)
  }

  for (const way of ['direct', 'gateway'] as const) {
    browserTest(`by the page of a link, ${way}`, async () => {
      // Without the origin of the page in the link, the agent does not let the page call it, and the browser goes through the bot.
      const origin = way === 'direct' ? { origin: new URL(service.proxy.url).origin } : {}
      const link = await agent.client.links.create({ kind: 'upload', name: `by-link-${way}`, ...origin })
      const path = bot.uploadPages.add({ store: 'edge-a', ...link, url: link.url.replace(agent.url, agentProxy.url) })
      const { faults, sentence, found, resumedAt } = await uploadWithCut(new URL(path, service.proxy.url).href, way, `by-link-${way}`)
      expect(faults).toEqual([])
      expect(sentence).toBe('The image is in edge-a. You can close this page.')
      expect(found).toMatch(/Formatqcow2/)
      expect(resumedAt).toBeGreaterThan(0)
      await expectImage(`by-link-${way}`)
    })
  }
})
