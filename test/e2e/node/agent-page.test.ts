// The page of an agent in a real Chromium, without JavaScript and with the keyboard: from the token to an image and out again, also below the prefix of a proxy.
// axe-core finds nothing of level A or AA on its pages, in light and dark, wide and as narrow as a phone.

import { afterAll, beforeAll, expect, setDefaultTimeout } from 'bun:test'
import axe from 'axe-core'
import type { Browser, Page } from 'playwright-core'
import { startAgent } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { uploadedImage } from '../../support/agents/uploaded-image.ts'
import { startChromium } from '../../support/clients/chromium.ts'
import { startNginx } from '../../support/clients/nginx.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { requireTool } from '../../support/require.ts'

setDefaultTimeout(120_000)
const browserTest = requireTool('chromium', 'chromium')
const proxyTest = requireTool('nginx', 'nginx-light')
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']
const HOSTILE = '<b onmouseover=alert(1)>bold</b>'

let folder: TemporaryFolder
let agent: AgentProcess
let browser: Browser
let viewer: { readonly id: string; readonly token: string }
let image = ''

beforeAll(async () => {
  folder = await createTemporaryFolder()
  agent = await startAgent(folder.path)
  browser = await startChromium()
  viewer = await agent.client.tokens.create({ name: 'page', role: 'viewer' })
  image = await uploadedImage(agent, HOSTILE, 1)
  await uploadedImage(agent, 'debian-12', 2)
})
afterAll(async () => {
  await browser?.close()
  await agent?.[Symbol.asyncDispose]()
  await folder?.[Symbol.asyncDispose]()
})

/** Moves to a link or button as the Tab key does, and presses Enter. */
async function follow(tab: Page, role: 'link' | 'button', name: string): Promise<void> {
  const wanted = tab.getByRole(role, { name, exact: true }).first()
  await wanted.focus()
  await wanted.press('Enter')
}

async function enter(tab: Page, token: string): Promise<void> {
  await tab.getByLabel('Token').fill(token)
  await tab.getByLabel('Token').press('Enter')
}

browserTest('without JavaScript: token, health, images, one image, tasks, and out again; a revoked token ends the session', async () => {
  const tab = await browser.newPage({ javaScriptEnabled: false })
  await tab.goto(`${agent.url}/page/images`)
  await enter(tab, 'slp_wrong')
  await tab.getByText('The token is unknown or has expired.').waitFor()
  await tab.goto(`${agent.url}/page/images`)
  await enter(tab, viewer.token)
  // The entry leads to the page that was asked for.
  await tab.waitForURL(`${agent.url}/page/images`)
  expect(await tab.getByRole('row').count()).toBe(3)
  await tab.getByLabel('Name or description').fill('bold')
  await follow(tab, 'button', 'Filter')
  await tab.waitForURL(/search=bold/)
  expect(await tab.getByRole('row').count()).toBe(2)
  expect(await tab.locator('td b, th b').count()).toBe(0)
  await follow(tab, 'link', HOSTILE)
  await tab.waitForURL(`${agent.url}/page/images/${image}`)
  expect(await tab.getByRole('heading', { level: 1 }).textContent()).toContain(HOSTILE)
  await follow(tab, 'link', 'Tasks')
  await tab.waitForURL(`${agent.url}/page/tasks`)
  await follow(tab, 'link', 'Store')
  await tab.waitForURL(`${agent.url}/`)
  expect(await tab.getByText('2 available, 0 in the recycle bin').count()).toBe(1)
  await follow(tab, 'button', 'Log out')
  await tab.getByRole('heading', { name: 'Logged out' }).waitFor()
  await follow(tab, 'link', 'Enter again')
  await tab.waitForURL(`${agent.url}/`)
  const other = await agent.client.tokens.create({ name: 'other', role: 'viewer' })
  await enter(tab, other.token)
  await tab.getByText('other (viewer)').waitFor()
  await agent.client.tokens.delete(other.id)
  await follow(tab, 'link', 'Load again')
  await tab.getByText('The session has ended.').waitFor()
  await tab.close()
})

browserTest('axe-core finds nothing, in light and dark, wide and as narrow as a phone, and nothing is wider than the window', async () => {
  // axe-core is put into the page from outside, which its policy would refuse.
  const context = await browser.newContext({ bypassCSP: true })
  const tab = await context.newPage()
  const judge = async (path: string): Promise<void> => {
    await tab.goto(agent.url + path)
    await tab.evaluate(axe.source)
    for (const [width, colorScheme] of [[1200, 'light'] as const, [360, 'dark'] as const]) {
      await tab.setViewportSize({ width, height: 800 })
      await tab.emulateMedia({ colorScheme })
      const look = `axe.run({ runOnly: ${JSON.stringify(RULES)} }).then(({ violations }) => violations.map(({ id, nodes }) => id + ' ' + nodes[0].html))`
      expect([path, width, await tab.evaluate<string[]>(look)]).toEqual([path, width, []])
      expect([path, width, await tab.evaluate<number>('document.documentElement.scrollWidth - document.documentElement.clientWidth')]).toEqual([path, width, 0])
    }
  }
  await judge('/')
  await enter(tab, viewer.token)
  await tab.getByText('page (viewer)').waitFor()
  // Uploads, tasks and events are tables of the first page as well.
  for (const path of ['/', '/page/images', `/page/images/${image}`]) await judge(path)
  await context.close()
})

if (Bun.which('chromium'))
  proxyTest('below a prefix that a proxy removes: every link and form stays below it', async () => {
    await using nginx = await startNginx({ root: folder.path, directives: `location /edge-a/ { proxy_pass ${agent.url}/; proxy_set_header Host $http_host; }` })
    const tab = await browser.newPage({ javaScriptEnabled: false })
    await tab.goto(`${nginx.url}/edge-a/`)
    await enter(tab, viewer.token)
    await tab.getByText('page (viewer)').waitFor()
    await follow(tab, 'link', 'Images')
    await tab.waitForURL(`${nginx.url}/edge-a/page/images`)
    await follow(tab, 'link', 'debian-12')
    await tab.waitForURL(`${nginx.url}/edge-a/page/images/img_*`)
    expect(await tab.evaluate<string>('getComputedStyle(document.querySelector("header")).display')).toBe('flex')
    await follow(tab, 'button', 'Log out')
    await tab.getByRole('heading', { name: 'Logged out' }).waitFor()
    await tab.close()
  })
