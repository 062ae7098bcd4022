// Live pages in a real Chromium: a bar moves without a reload, focus and what is typed stay, and a page that was cut off says so and goes on.

import { expect, setDefaultTimeout } from 'bun:test'
import { chromium } from 'playwright-core'
import { CONSOLE, openTestPage } from '../../bot/web/fixture.ts'
import { page as listOf, storeOf } from '../../bot/commands/scripted-fleet.ts'
import { taskSchema } from '../../../protocol/task.ts'
import { requireTool } from '../../support/require.ts'

setDefaultTimeout(120_000)
const browserTest = requireTool('chromium', 'chromium')
const ARGUMENTS = ['--no-sandbox', '--disable-dev-shm-usage']
const TASK = 'tsk_00000000000000000000000001'
/** How often the clock of the bot moves on, in milliseconds. */
const BEAT_MS = 50

/** The page on a socket, with seven stores and a scrub; a second of the bot passes in BEAT_MS. */
function openServed() {
  let done = 10
  let description = 'first rack'
  let port = 0
  const task = () => {
    const [progress, times] = [
      { done, total: 100, unit: 'bytes', rate: 1, etaSeconds: null },
      { createdAt: '2026-01-01T00:00:00.000Z', endedAt: null },
    ]
    return taskSchema.parse({ id: TASK, kind: 'scrub', state: 'running', progress, subject: 'edge-a', createdBy: 'root', ...times })
  }
  const first = { 'GET /store': () => storeOf({ name: 'edge-a', description }), 'GET /tasks': () => listOf([task()]), [`GET /tasks/${TASK}`]: task }
  const page = openTestPage({ scripts: { 'edge-a': first, ...Object.fromEntries(['b', 'c', 'd', 'e', 'f', 'g'].map((end) => [`edge-${end}`, {}])) } })
  const serve = () =>
    Bun.serve({
      port,
      hostname: '127.0.0.1',
      fetch: async (request) => {
        const { pathname, search, host } = new URL(request.url)
        const body = request.method === 'POST' ? { body: await request.text() } : {}
        return page.request(pathname + search, { method: request.method, headers: request.headers, host, ...body })
      },
    })
  let server = serve()
  port = server.port ?? 0
  const beat = setInterval(() => page.clock.advance(1000), BEAT_MS)
  let position = 0
  const keep = (): void =>
    page.bot.fleet.kept.events.keep([{ store: 'edge-a', position: ++position, events: [], hasSkipped: false, isReset: false }], page.clock.nowMs())
  return {
    origin: server.url.origin,
    enterUrl: () => `${server.url.origin}/enter/${page.bot.page.links.issue(CONSOLE).secret}`,
    move: (to: number): void => void (done = to),
    describe: (text: string): void => {
      description = text
      keep()
    },
    change: keep,
    cut: () => server.stop(true),
    mend: (): void => void (server = serve()),
    async [Symbol.asyncDispose]() {
      clearInterval(beat)
      await server.stop(true)
      page[Symbol.dispose]()
    },
  }
}

browserTest('a bar moves without a reload, and focus stays; a page that is cut off says how old it is and goes on by itself', async () => {
  await using served = openServed()
  await using browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ARGUMENTS })
  const tab = await browser.newPage()
  const errors: string[] = []
  tab.on('pageerror', (error) => errors.push(error.message))
  await tab.goto(served.enterUrl())
  await tab.getByRole('button', { name: 'Enter' }).click()
  await tab.waitForURL(`${served.origin}/`)
  await tab.goto(`${served.origin}/c/task/show/${TASK}`)
  await tab.evaluate('window.isSame = true')
  const cancel = tab.getByRole('button', { name: 'Cancel' })
  await cancel.focus()
  served.move(70)
  await tab.locator('progress[value="70"]').waitFor()
  expect(await tab.evaluate<boolean>('window.isSame && document.activeElement.textContent === "Cancel"')).toBe(true)

  await tab.goto(`${served.origin}/stores`)
  const filter = tab.getByLabel('Filter', { exact: true })
  await filter.pressSequentially('edge')
  await tab.evaluate('window.isSame = true; scrollTo(0, 40)')
  const before = await tab.locator('.age').first().textContent()
  served.change()
  await tab
    .locator('.age', { hasNotText: before ?? '' })
    .first()
    .waitFor()
  expect(await filter.inputValue()).toBe('edge')
  expect(await tab.evaluate<boolean>('window.isSame && document.activeElement.name === "_find"')).toBe(true)

  await tab.goto(`${served.origin}/stores/edge-a`)
  await tab.getByText('first rack').waitFor()
  await served.cut()
  await tab.getByText('The bot does not answer; this page tries again by itself.').waitFor()
  expect(await tab.locator('#stale-age').textContent()).toMatch(/^This is \d+ s old\.$/)
  served.describe('second rack')
  served.mend()
  await tab.getByText('second rack').waitFor()
  await tab.locator('#stale:empty').waitFor({ state: 'attached' })
  await tab.context().setOffline(true)
  await tab.getByText('This browser is offline').waitFor()
  await tab.context().setOffline(false)
  await tab.locator('#stale:empty').waitFor({ state: 'attached' })
  expect(errors).toEqual([])
})
