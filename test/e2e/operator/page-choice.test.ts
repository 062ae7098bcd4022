// Boxes of a list of images in a real Chromium: a live page keeps the check of each image when rows come and go, and the buttons lead to one plan, with and without a script.

import { expect, setDefaultTimeout } from 'bun:test'
import { chromium } from 'playwright-core'
import { CONSOLE, openTestPage } from '../../bot/web/fixture.ts'
import { imageOf, page as listOf } from '../../bot/commands/scripted-fleet.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { requireTool } from '../../support/require.ts'

setDefaultTimeout(120_000)
const browserTest = requireTool('chromium', 'chromium')
const ARGUMENTS = ['--no-sandbox', '--disable-dev-shm-usage']
/** How often the clock of the bot moves on by a second, in milliseconds. */
const BEAT_MS = 50

browserTest('a checked image stays checked while rows come and go around it, and the buttons lead to one plan', async () => {
  let images: Image[] = [imageOf(3), imageOf(5), imageOf(7)]
  const all = [1, 3, 4, 5, 7].map((number) => imageOf(number))
  const each = Object.fromEntries(all.map((image) => [`GET /images/${image.id}`, image]))
  using page = openTestPage({ scripts: { 'edge-a': { 'GET /images': () => listOf(images), 'POST /unique-size': { uniqueSize: 1000 }, ...each } } })
  await using server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: async (request) => {
      const { pathname, search, host } = new URL(request.url)
      const body = request.method === 'POST' ? { body: await request.text() } : {}
      return page.request(pathname + search, { method: request.method, headers: request.headers, host, redirect: 'manual', ...body })
    },
  })
  const { origin } = server.url
  using stack = new DisposableStack()
  stack.adopt(
    setInterval(() => page.clock.advance(1000), BEAT_MS),
    clearInterval,
  )
  let position = 0
  const show = (numbers: readonly number[]): void => {
    images = numbers.map((number) => imageOf(number))
    page.bot.fleet.kept.events.keep([{ store: 'edge-a', position: ++position, events: [], hasSkipped: false, isReset: false }], page.clock.nowMs())
  }
  await using browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ARGUMENTS })
  for (const javaScriptEnabled of [true, false]) {
    show([3, 5, 7])
    const tab = await browser.newPage({ javaScriptEnabled })
    const errors: string[] = []
    tab.on('pageerror', (error) => errors.push(error.message))
    await tab.goto(`${origin}/enter/${page.bot.page.links.issue(CONSOLE).secret}`)
    await tab.getByRole('button', { name: 'Enter' }).click()
    await tab.waitForURL(`${origin}/`)
    await tab.goto(`${origin}/stores/edge-a/images`)
    const checked = async (): Promise<(string | null)[]> =>
      Promise.all((await tab.getByRole('checkbox', { checked: true }).all()).map((box) => box.getAttribute('aria-label')))
    await tab.getByRole('checkbox', { name: 'Choose disk-3' }).check()
    await tab.getByRole('checkbox', { name: 'Choose disk-5' }).check()
    const everyRow = tab.getByRole('checkbox', { name: 'Choose all 3 rows shown' })
    expect(await everyRow.isVisible()).toBe(javaScriptEnabled)
    if (javaScriptEnabled) {
      await everyRow.check()
      expect(await tab.getByRole('checkbox', { checked: true }).count()).toBe(4)
      await tab.getByRole('checkbox', { name: 'Choose disk-7' }).uncheck()
      expect(await everyRow.isChecked()).toBe(false)
      show([1, 3, 4, 5, 7])
      await tab.getByRole('checkbox', { name: 'Choose disk-4' }).waitFor()
      expect(await checked()).toEqual(['Choose disk-3', 'Choose disk-5'])
      show([4, 5, 7])
      await tab.getByRole('checkbox', { name: 'Choose disk-3' }).waitFor({ state: 'detached' })
      expect(await checked()).toEqual(['Choose disk-5'])
      await tab.getByRole('checkbox', { name: 'Choose disk-7' }).check()
    }
    await tab.getByRole('form', { name: 'Act on the chosen rows' }).getByRole('button', { name: 'Delete' }).click()
    const chosen = javaScriptEnabled ? [5, 7] : [3, 5]
    await tab.waitForURL(`${origin}/c/image/delete/${chosen.map((number) => imageOf(number).id).join('/')}?store=edge-a`)
    expect(await tab.getByRole('heading', { level: 1 }).textContent()).toContain(`Delete ${chosen.map((number) => `disk-${number}`).join(', ')}`)
    expect(errors).toEqual([])
    await tab.close()
  }
  expect(page.asked.filter((request) => request.includes('DELETE'))).toEqual([])
})
