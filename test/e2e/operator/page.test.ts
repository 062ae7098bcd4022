// The page in a real Chromium: from a one-time link to a deletion with its typed name, without JavaScript and with the keyboard alone; on a phone and in dark mode;
// and nothing of level A or AA that axe-core finds.

import { expect, setDefaultTimeout } from 'bun:test'
import axe from 'axe-core'
import { chromium } from 'playwright-core'
import { NAMED_PLACES, PLACES } from '../../../bot/web/places.ts'
import { CONSOLE, openTestPage } from '../../bot/web/fixture.ts'
import { imageOf, page as listOf } from '../../bot/commands/scripted-fleet.ts'
import { requireTool } from '../../support/require.ts'

setDefaultTimeout(300_000)
const browserTest = requireTool('chromium', 'chromium')
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']
const ARGUMENTS = ['--no-sandbox', '--disable-dev-shm-usage']

/** The page on a socket, with a store of eight images. */
function openServed() {
  const images = Array.from({ length: 8 }, (_, i) => imageOf(i, { name: i === 0 ? '<b>bold</b>' : `disk-${i}` }))
  const image = imageOf(1, { name: 'disk-1' })
  const path = `/images/${image.id}`
  const page = openTestPage({
    scripts: { 'edge-a': { 'GET /images': listOf(images), [`GET ${path}`]: image, [`DELETE ${path}`]: { ...image, status: 'deleted' } } },
  })
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: async (request) => {
      const { pathname, search, host } = new URL(request.url)
      const body = request.method === 'POST' ? { body: await request.text() } : {}
      return page.request(pathname + search, { method: request.method, headers: request.headers, host, ...body })
    },
  })
  return {
    page,
    origin: server.url.origin,
    enterUrl: () => `${server.url.origin}/enter/${page.bot.page.links.issue(CONSOLE).secret}`,
    async [Symbol.asyncDispose]() {
      await server.stop(true)
      page[Symbol.dispose]()
    },
  }
}

browserTest('axe-core finds nothing on any place, tab and form, in light and dark, wide and as narrow as a phone', async () => {
  await using served = openServed()
  await using browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ARGUMENTS })
  // axe-core is put into the page from outside, which its policy would refuse.
  const tab = await browser.newPage({ bypassCSP: true })
  await tab.goto(served.enterUrl())
  await tab.getByRole('button', { name: 'Enter' }).click()
  await tab.waitForURL(`${served.origin}/`)
  const image = imageOf(1).id
  const places = ['/', '/stores/edge-a', '/images', `/c/image/delete/${image}`]
  /** Looked at once each: in turn wide and light, and narrow and dark. */
  const others = [
    ...PLACES.map(({ path }) => path).filter((path) => !places.includes(path)),
    ...NAMED_PLACES.flatMap(({ path, subject, tabs }) => tabs.map(({ slug }) => `${path}${subject === 'store' ? 'edge-a' : image}${slug && `/${slug}`}`)),
    ...['/search?q=disk', '/c', '/c/store/add', '/c/task/show/tsk_none', '/images?status=nothing', '/nowhere'],
  ].filter((path) => !places.includes(path))
  const looks = [{ width: 1200, colorScheme: 'light' } as const, { width: 360, colorScheme: 'dark' } as const]
  for (const [i, path] of [...places, ...others].entries()) {
    await tab.goto(served.origin + path)
    await tab.evaluate(axe.source)
    for (const { width, colorScheme } of i < places.length ? looks : looks.slice(i % 2, (i % 2) + 1)) {
      await tab.setViewportSize({ width, height: 800 })
      await tab.emulateMedia({ colorScheme })
      const look = `axe.run({ runOnly: ${JSON.stringify(RULES)} }).then(({ violations }) => violations.map(({ id, nodes }) => id + ' ' + nodes[0].html))`
      const see = (): Promise<string[]> => tab.evaluate<string[]>(look)
      let found = await see()
      // A colour that is fading from light to dark is measured in between.
      if (found.length > 0) found = await Bun.sleep(1000).then(see)
      expect([path, width, found]).toEqual([path, width, []])
      expect([path, width, await tab.evaluate<number>('document.documentElement.scrollWidth - document.documentElement.clientWidth')]).toEqual([path, width, 0])
    }
  }
})

browserTest('without JavaScript and with the keyboard: link, home, store, its images, one image, and its deletion with the typed name', async () => {
  await using served = openServed()
  await using browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ARGUMENTS })
  const tab = await browser.newPage({ javaScriptEnabled: false })
  /** Moves to a link or button as the Tab key does, and presses Enter. */
  const follow = async (role: 'link' | 'button', name: string, nth = 0): Promise<void> => {
    const wanted = tab.getByRole(role, { name, exact: true }).nth(nth)
    await wanted.focus()
    await wanted.press('Enter')
  }
  await tab.goto(served.enterUrl())
  await follow('button', 'Enter')
  await tab.waitForURL(`${served.origin}/`)
  await follow('link', 'edge-a')
  await tab.waitForURL('**/stores/edge-a')
  await follow('link', 'Images', 1)
  await tab.waitForURL('**/stores/edge-a/images')
  expect(await tab.getByRole('link', { name: '<b>bold</b>', exact: true }).count()).toBe(1)
  await follow('link', 'disk-1')
  await tab.waitForURL(`**/images/${imageOf(1).id}`)
  await follow('link', 'image delete')
  const name = tab.getByLabel('Type disk-1 to confirm')
  await name.fill('disk-2')
  await name.press('Enter')
  await tab.locator('#confirm-error').waitFor()
  expect(await tab.locator('#confirm-error').textContent()).toBe('"disk-2" is not the name "disk-1". Nothing was changed.')
  expect(served.page.asked.some((request) => request.includes('DELETE'))).toBe(false)
  await name.fill('disk-1')
  await name.press('Enter')
  await tab.getByRole('heading', { name: 'Deleted disk-1' }).waitFor()
  expect(served.page.asked.filter((request) => request.includes('DELETE'))).toHaveLength(1)
})
