// A fleet to walk through in Chromium: a real agent and the service of the bot as processes, four simulated stores beside them, a file to upload, and the pictures
// that the walk keeps.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import type { OpenBot } from '../../../bot/open.ts'
import { openTestBot, runJson } from '../../bot/fixture.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { startBotProcess } from '../../support/agents/bot-process.ts'
import type { BotProcess } from '../../support/agents/bot-process.ts'
import { startSimulatedFleet } from '../../support/agents/simulated-fleet.ts'
import { startChromium } from '../../support/clients/chromium.ts'
import { createCuttingProxy } from '../../support/clients/cutting-proxy.ts'
import type { CuttingProxy } from '../../support/clients/cutting-proxy.ts'
import { testCacheFolder } from '../../support/images/image-family.ts'
import { makeNoiseFile } from '../../support/images/noise-file.ts'
import { run } from '../../support/images/small-image.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

const MIB = 1024 * 1024
/** Length of the file to upload in bytes. */
export const FILE_LENGTH = 6 * MIB
const NEIGHBOURS = 4

export interface Walk extends AsyncDisposable {
  readonly agent: AgentProcess
  /** Between the bot or a browser, and the agent. */
  readonly agentLine: CuttingProxy
  readonly service: BotProcess
  readonly bot: OpenBot
  readonly browser: Browser
  /** Address of the page. */
  readonly origin: string
  /** A qcow2 file. */
  readonly file: string
  readonly folder: string
  /** Makes a one-time link as the console does. */
  enterUrl(): Promise<string>
  /** Opens a tab that notes every violation of the policy, every failure of a script, and every request to another origin. */
  open(context: BrowserContext): Promise<Page>
  readonly faults: string[]
}

/** Starts the fleet. Needs Chromium and qemu-img. */
export async function startWalk(): Promise<Walk> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  await makeNoiseFile(folder.file('noise.raw'), FILE_LENGTH, 11)
  const file = folder.file('debian-12.qcow2')
  await run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', folder.file('noise.raw'), file)
  const neighbours = stack.use(startSimulatedFleet(NEIGHBOURS, 2))
  for (const neighbour of neighbours.agents)
    neighbour.answer = (_request, path) => (/^v1\/(?:images|tasks|uploads|schedules)$/.test(path) ? Response.json({ items: [], next: null }) : undefined)
  const [sick] = neighbours.agents
  if (sick) sick.health = { ...sick.health, state: 'degraded', checks: sick.health.checks.map((check) => (check.name === 'free-space' ? SCARCE : check)) }
  const agent = stack.use(await startAgent(folder.path, { config: '[imports]\nallow = ["127.0.0.1"]\n' }))
  const agentLine = stack.use(await createCuttingProxy(Number(new URL(agent.url).port)))
  const bot = stack.use(openTestBot(folder.file('home')))
  const { registry } = bot.fleet
  registry.add({ name: 'edge-a', url: agentLine.url, token: TEST_ADMIN_TOKEN, zone: 'zone-0', provider: 'local', storeId: null }, 0)
  for (const { name, url, token, zone } of neighbours.agents) registry.add({ name, url, token, zone, provider: 'local', storeId: null }, 0)
  const service = stack.use(await startBotProcess(folder.file('home')))
  const browser = await startChromium()
  stack.defer(() => browser.close())
  const origin = new URL(service.proxy.url).origin
  const faults: string[] = []
  const kept = stack.move()
  return {
    agent,
    agentLine,
    service,
    bot,
    browser,
    origin,
    file,
    folder: folder.path,
    faults,
    async enterUrl() {
      const { value } = await runJson(bot, 'web')
      return new URL(new URL(String(value['url'])).pathname, origin).href
    },
    async open(context) {
      const tab = await context.newPage()
      tab.on('console', (message) => {
        if (/Content Security Policy/.test(message.text())) faults.push(message.text())
      })
      tab.on('pageerror', (error) => faults.push(String(error)))
      tab.on('request', (request) => {
        const url = new URL(request.url())
        if (url.protocol.startsWith('http') && ![origin, new URL(agentLine.url).origin].includes(url.origin)) faults.push(request.url())
      })
      return tab
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

const SCARCE = {
  name: 'free-space',
  state: 'warning' as const,
  measured: '4 % free',
  limit: '5 %',
  impact: 'New images may not fit.',
  action: 'Delete images that are not needed, or add space.',
}

/**
 * Keeps a picture where a person can look: in the folder `pictures` of SLIPWAY_TEST_CACHE. With SLIPWAY_WRITE_PREVIEWS=1 a picture that the documents show is
 * written to docs/pictures too.
 */
export async function keepPicture(tab: Page, name: string, isShown = false): Promise<void> {
  const folder = join(testCacheFolder(), 'pictures')
  mkdirSync(folder, { recursive: true })
  const png = await until('Chromium draws the page', () => screenshot(tab))
  await Bun.write(join(folder, `${name}.png`), png)
  if (isShown && process.env['SLIPWAY_WRITE_PREVIEWS'] === '1') await Bun.write(join(import.meta.dir, '../../../docs/pictures', `${name}.png`), png)
}

/** The picture of a page, or undefined while Chromium refuses to draw it, which it does for a moment while another page is being loaded. */
async function screenshot(tab: Page): Promise<Buffer | undefined> {
  try {
    return await tab.screenshot({ animations: 'disabled' })
  } catch (error) {
    if (String(error).includes('Unable to capture screenshot')) return undefined
    throw error
  }
}

/** Presses Tab until a link, button or field with this name has the focus. Throws after as many as no page of the walk has. */
export async function tabTo(tab: Page, name: string): Promise<void> {
  for (let i = 0; i < 120; i++) {
    await tab.keyboard.press('Tab')
    if ((await tab.evaluate<string>(FOCUSED)) === name) return
  }
  throw new Error(`Tab does not reach ${name} on ${tab.url()}`)
}

/** The name of what has the focus, as a screen reader says it. */
const FOCUSED = `(() => {
  const it = document.activeElement
  const label = it.labels && it.labels[0]
  return (it.getAttribute('aria-label') || (label || it).textContent).trim().replace(/\\s+/g, ' ')
})()`

/** Moves to a link or a button with the keyboard and presses Enter; resolves at the next page. */
export async function follow(tab: Page, name: string): Promise<void> {
  await tabTo(tab, name)
  await Promise.all([tab.waitForNavigation(), tab.keyboard.press('Enter')])
}

/**
 * Uploads the file on the page of a link. The line is held in the middle and cut, the tab closed; in a new tab the same file continues. Returns the offset at which
 * it was cut.
 */
export async function uploadWithCut(walk: Walk, context: BrowserContext, way: 'direct' | 'gateway', name: string): Promise<number> {
  const { agent, agentLine, service, bot, origin, file } = walk
  // Without the origin of the page in the link, the agent does not let the page call it, and the browser goes through the bot.
  const link = await agent.client.links.create({ kind: 'upload', name, ...(way === 'direct' ? { origin } : {}) })
  const path = bot.uploadPages.add({ store: 'edge-a', ...link, url: link.url.replace(agent.url, agentLine.url) })
  const line = way === 'direct' ? agentLine : service.proxy
  const start = async (): Promise<Page> => {
    const tab = await walk.open(context)
    await tab.goto(origin + path)
    await tab.waitForSelector('#uploader[data-ready]')
    return tab
  }
  const send = async (tab: Page): Promise<void> => {
    await tab.setInputFiles('input[type=file]', file)
    await tab.click('.uppy-StatusBar-actionBtn--upload')
  }
  const first = await start()
  line.holdAt(line.bytes.up + FILE_LENGTH / 3)
  await send(first)
  const upload = await until('the agent has bytes', async () => (await agent.client.uploads.list()).items.find((one) => one.name === name && one.offset > 0))
  if ((await first.getAttribute('#uploader', 'data-way')) !== way) throw new Error(`the upload does not go the way ${way}`)
  await keepPicture(first, `upload-${way}`, way === 'direct')
  line.cutAll()
  await first.close()
  line.holdAt(Number.POSITIVE_INFINITY)
  const second = await start()
  await send(second)
  await until('the page shows the image', async () => /The image is in edge-a/.test((await second.textContent('#sentence')) ?? ''))
  await keepPicture(second, `uploaded-${way}`)
  await second.close()
  return upload.offset
}
