// Charts of the page in a real Chromium: drawn once they are nearly in sight, and not before.

import { expect, setDefaultTimeout } from 'bun:test'
import { storeOf } from '../../bot/commands/scripted-fleet.ts'
import { minuteOf } from '../../bot/samples/fixture.ts'
import { CONSOLE, openTestPage } from '../../bot/web/fixture.ts'
import { startChromium } from '../../support/clients/chromium.ts'
import { requireTool } from '../../support/require.ts'

setDefaultTimeout(120_000)
const browserTest = requireTool('chromium', 'chromium')
const MINUTE_MS = 60_000
const CHARTS = ['used', 'saved', 'rate', 'slices', 'scrub', 'health']

browserTest('the charts of a store are asked for and drawn when somebody scrolls to them', async () => {
  using page = openTestPage({ scripts: { 'edge-a': {} } })
  const { id } = storeOf()
  page.bot.fleet.registry.change('edge-a', { storeId: id })
  for (let minute = 0; minute < 10; minute++, page.clock.advance(MINUTE_MS))
    page.bot.samples.record(new Map([[id, minuteOf(1_000_000 + minute, { total: 3_000_000 })]]), page.clock.nowMs())
  const asked: string[] = []
  await using server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: async (request) => {
      const { pathname, search, host } = new URL(request.url)
      if (pathname.startsWith('/series/')) asked.push(pathname)
      const body = request.method === 'POST' ? { body: await request.text() } : {}
      return page.request(pathname + search, { method: request.method, headers: request.headers, host, redirect: 'manual', ...body })
    },
  })
  const { origin } = server.url
  await using browser = await startChromium()
  // A window so low that the charts are far below it.
  const tab = await browser.newPage({ viewport: { width: 1200, height: 100 } })
  const errors: string[] = []
  tab.on('pageerror', (error) => errors.push(error.message))
  await tab.goto(`${origin}/enter/${page.bot.page.links.issue(CONSOLE).secret}`)
  await tab.getByRole('button', { name: 'Enter' }).click()
  await tab.waitForURL(`${origin}/`)
  asked.length = 0
  await tab.goto(`${origin}/stores/edge-a`, { waitUntil: 'load' })
  // Two frames: whatever is in sight has been reported by then.
  await tab.evaluate('new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))')
  const plotters = (): Promise<number> => tab.evaluate(`performance.getEntriesByType('resource').filter(({ name }) => name.includes('/uplot-')).length`)
  expect([asked, await tab.locator('canvas').count(), await plotters()]).toEqual([[], 0, 0])
  await tab.locator('[data-charts]').scrollIntoViewIfNeeded()
  for (const name of CHARTS) await tab.locator(`[data-chart="${name}"] .plot canvas`).waitFor()
  expect([asked, errors, await plotters()]).toEqual([['/series/store/show/edge-a'], [], 1])
})
