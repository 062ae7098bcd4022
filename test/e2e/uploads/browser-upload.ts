// A browser, the service of a bot and an agent as processes, with lines between them that can be held and cut.

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
import { until } from '../../support/until.ts'

/** Length of the disk in the file. */
export const DISK_LENGTH = 6 * 1024 * 1024

export interface BrowserUpload extends AsyncDisposable {
  readonly agent: AgentProcess
  /** Between the bot or the browser and the agent. */
  readonly agentLine: CuttingProxy
  /** Its proxy is between the browser and the bot. */
  readonly service: BotProcess
  /** The bot's state, as the console has it. */
  readonly bot: OpenBot
  readonly browser: Browser
  /** A qcow2 of noise. */
  readonly file: string
  /** Returns a path in a folder that goes with the rest. */
  path(name: string): string
  /** Opens a page of an uploader, and notes everything that its policy forbids, every error, and every request to another origin. */
  open(context: BrowserContext, url: string, faults: string[]): Promise<Page>
  /** Waits until an image is available, and returns it. */
  image(name: string): Promise<{ readonly format: string | null; readonly virtualSize: number | null; readonly digest: string | null }>
}

/** Starts everything. */
export async function openBrowserUpload(): Promise<BrowserUpload> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  await makeNoiseFile(folder.file('noise.raw'), DISK_LENGTH, 11)
  const file = folder.file('debian.qcow2')
  await run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', folder.file('noise.raw'), file)
  const agent = stack.use(await startAgent(folder.path))
  const agentLine = stack.use(await createCuttingProxy(Number(new URL(agent.url).port)))
  const bot = stack.use(openTestBot(folder.file('home')))
  bot.fleet.registry.add({ name: 'edge-a', url: agentLine.url, token: TEST_ADMIN_TOKEN, zone: 'zone-1', provider: 'local', storeId: null }, 0)
  const service = stack.use(await startBotProcess(folder.file('home')))
  const browser = await startChromium()
  stack.defer(() => browser.close())
  const owned = stack.move()
  return {
    agent,
    agentLine,
    service,
    bot,
    browser,
    file,
    path: (name) => folder.file(name),
    async open(context, url, faults) {
      const page = await context.newPage()
      page.on('console', (message) => {
        if (/Content Security Policy/.test(message.text())) faults.push(message.text())
      })
      page.on('pageerror', (error) => faults.push(String(error)))
      page.on('request', (request) => {
        const { port, protocol } = new URL(request.url())
        if (protocol.startsWith('http') && ![service.proxy.url, agentLine.url].some((own) => new URL(own).port === port)) faults.push(request.url())
      })
      await page.goto(url)
      await page.waitForSelector('#uploader[data-ready]')
      return page
    },
    image: (name) =>
      until('the image is available', async () =>
        (await agent.client.images.list()).items.find((one) => one.name === name && one.status === 'available' && one.digest !== null),
      ),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** Chooses a file and sends it. */
export async function sendFile(page: Page, file: string): Promise<void> {
  await page.setInputFiles('input[type=file]', file)
  await page.click('.uppy-StatusBar-actionBtn--upload')
}

/** Drops files on the page, as from a folder of the desktop. */
export async function dropFiles(page: Page, files: readonly string[]): Promise<void> {
  const desktop = await page.context().newCDPSession(page)
  const box = await page.locator('.uppy-Dashboard-AddFiles').boundingBox()
  if (!box) throw new Error('the page has no place for files')
  const at = { x: box.x + box.width / 2, y: box.y + box.height / 2 }
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
    await desktop.send('Input.dispatchDragEvent', { ...at, type, data: { items: [], files: [...files], dragOperationsMask: 1 } })
  }
  await desktop.detach()
}
