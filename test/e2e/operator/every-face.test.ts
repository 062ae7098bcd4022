// One script of commands on every face of the bot: console, JSON, Slack and page give the same facts. The page is read as a screen reader does, through Chromium's
// accessibility tree; what changes something goes through its form.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout } from 'bun:test'
import type { Browser, Page } from 'playwright-core'
import { createGateway } from '../../../bot/gateway/gateway.ts'
import { NO_GROUPS } from '../../../bot/web/person.ts'
import { createPageApp } from '../../../bot/web/page-app.tsx'
import { runCommand, runJson } from '../../bot/fixture.ts'
import { ADMIN, startSlackBot } from '../../bot/slack/fixture.ts'
import { startChromium } from '../../support/clients/chromium.ts'
import { visibleText } from '../../support/clients/fake-slack/shown.ts'
import { memoryImage } from '../../support/memory/memory-image.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { hasTool, requireTool } from '../../support/require.ts'
import { until } from '../../support/until.ts'

setDefaultTimeout(120_000)

const IMAGE = memoryImage({ name: 'debian-12', description: 'the <b>site</b> template', owner: 'web & db', length: 5_000_000_000, storedSize: 1_200_000_000 })

interface Line {
  /** `{}` is the name of the face: what changes something is done once on each. */
  readonly line: string
  /** What a person reads. */
  readonly facts: readonly string[]
  /** Members of the JSON, by path. */
  readonly json: Readonly<Record<string, unknown>>
  /** What the form of the page asks for: everything that is not in its address. */
  readonly form?: { readonly path: string; readonly fields: Readonly<Record<string, string>> }
}

/** By hand, in the order in which they run. */
const SCRIPT: readonly Line[] = [
  {
    line: 'store list',
    facts: ['edge-a', 'Running', '400 GB of 1.0 TB (40 %)'],
    json: { 'items.0.name': 'edge-a', 'items.0.state': 'running', 'items.0.capacity.used': 4e11 },
  },
  { line: 'store show edge-a', facts: ['edge-a', 'zone-1', '/srv/slipway', '3.0×'], json: { mount: '/srv/slipway', 'slices.savingRatio': 3 } },
  { line: 'store health edge-a', facts: ['Health of edge-a', 'Running'], json: { name: 'edge-a', state: 'running' } },
  { line: 'store health all', facts: ['Health of all stores', '1 store: all Running'], json: { 'items.0.name': 'edge-a' } },
  { line: 'image list', facts: ['debian-12', '5.0 GB long, 1.2 GB stored', 'Available'], json: { 'items.0.name': 'debian-12', 'items.0.length': 5e9 } },
  {
    line: 'image show debian-12',
    facts: ['the <b>site</b> template', 'web & db', '1.2 GB', IMAGE.id],
    json: { description: IMAGE.description, owner: 'web & db' },
  },
  { line: 'alert list', facts: ['No '], json: { 'items.length': 0 } },
  {
    line: 'zone add zone-{} description="north of {}"',
    facts: ['zone-{}', 'north of {}'],
    json: { name: 'zone-{}', description: 'north of {}' },
    form: { path: '/c/zone/add', fields: { Z: 'zone-{}', description: 'north of {}' } },
  },
  { line: 'zone show zone-console', facts: ['zone-console', 'north of console'], json: { name: 'zone-console', description: 'north of console' } },
  {
    line: 'store edit edge-a description="rack {}"',
    facts: ['edge-a', 'rack {}'],
    json: { description: 'rack {}' },
    form: { path: '/c/store/edit/edge-a', fields: { description: 'rack {}' } },
  },
  {
    line: 'store disable edge-a reason=moving',
    facts: ['edge-a', 'disabled'],
    json: { enabled: false },
    form: { path: '/c/store/disable/edge-a', fields: { reason: 'moving' } },
  },
  { line: 'store enable edge-a', facts: ['edge-a', 'enabled'], json: { enabled: true }, form: { path: '/c/store/enable/edge-a', fields: {} } },
  { line: 'image show nothing', facts: ['No store has an image "nothing".', 'List them with image list.'], json: { 'error.status': 404 } },
  { line: 'store show edge-b', facts: ['No store is called "edge-b".', 'Did you mean edge-a?'], json: { 'error.status': 404 } },
  { line: 'task show tsk_none', facts: ['No task "tsk_none".', 'List them with task list.'], json: { 'error.status': 404 } },
  { line: 'audit list', facts: ['zone add zone-page', 'zone add zone-slack', 'page', 'console', 'slack'], json: { 'items.0.outcome': 'done' } },
  { line: 'help store', facts: ['store list', 'store delete'], json: {} },
]

const browserTest = requireTool('chromium', 'chromium')

describe('a script of commands', () => {
  let it: Awaited<ReturnType<typeof startSlackBot>>
  let server: Bun.Server<undefined>
  let browser: Browser
  let tab: Page

  beforeAll(async () => {
    if (!hasTool('chromium', 'chromium')) return
    it = await startSlackBot()
    it.agent.images.push(IMAGE)
    const { bot } = it
    const log = createMemoryLog()
    const gateway = createGateway({ bot, log, origin: bot.page.address.origin })
    const app = createPageApp({ bot, groups: NO_GROUPS, log, publicUrl: undefined, uploads: { answer: gateway.links.fetch, loads: gateway.assets } })
    server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: (request) => app.fetch(request) })
    browser = await startChromium()
    tab = await browser.newPage({ locale: 'en-GB', timezoneId: 'UTC' })
    await tab.goto(new URL(`/enter/${bot.page.links.issue({ id: '', name: 'tester' }).secret}`, server.url).href)
    await tab.getByRole('button', { name: 'Enter' }).click()
    await tab.waitForURL(server.url.href)
  })
  afterAll(async () => {
    await browser?.close()
    await server?.stop(true)
    await it?.[Symbol.asyncDispose]()
  })

  /** What a screen reader has of the main part of the page: the names of its parts, and its text without the borders of elements. */
  async function heard(): Promise<string> {
    const session = await tab.context().newCDPSession(tab)
    const { nodes } = await session.send('Accessibility.getFullAXTree')
    await session.detach()
    const byId = new Map(nodes.map((node) => [node.nodeId, node]))
    const names: string[] = []
    const texts: string[] = []
    const walk = (id: string): void => {
      const node = byId.get(id)
      if (!node) return
      const [role, name] = [String(node.role?.value ?? ''), String(node.name?.value ?? '')]
      // Parts of lines repeat their text.
      if (!node.ignored && role === 'StaticText') texts.push(name)
      else if (!node.ignored && role !== 'InlineTextBox') names.push(name)
      for (const child of node.childIds ?? []) walk(child)
    }
    const main = nodes.find(({ role }) => role?.value === 'main')
    if (!main) throw new Error(`there is no main part at ${tab.url()}`)
    walk(main.nodeId)
    return `${names.join('\n')}\n${texts.join(' ')}\n${texts.join('')}`
  }

  async function onPage({ line, form }: Line): Promise<string> {
    if (form) {
      await tab.goto(new URL(form.path, server.url).href)
      for (const [name, value] of Object.entries(form.fields)) await tab.locator(`main form[method=post] [name="${name}"]`).fill(value.replaceAll('{}', 'page'))
      await Promise.all([tab.waitForNavigation(), tab.locator('main form[method=post] button').last().click()])
    } else await tab.goto(new URL(`/c/${line.split(' ').map(encodeURIComponent).join('/')}`, server.url).href)
    return heard()
  }

  async function inSlack(line: string): Promise<string> {
    const before = it.slack.shown.length
    await it.slack.command('/slipway', line, ADMIN)
    return visibleText(await until(`an answer to ${line}`, () => it.slack.shown[before]))
  }

  browserTest('has the same facts in the console, in JSON, in Slack and on the page', async () => {
    const wrong: unknown[] = []
    for (const one of SCRIPT) {
      const said = (face: string): string => one.line.replaceAll('{}', face)
      const words = (face: string): string[] => [...said(face).matchAll(/(?:[^\s"]|"[^"]*")+/g)].map(([word]) => word.replaceAll('"', ''))
      const faces: Record<string, string> = {
        console: (await runCommand(it.bot, ...words('console'))).output,
        slack: await inSlack(said('slack')),
        page: await onPage(one),
      }
      for (const [face, text] of Object.entries(faces)) {
        const plain = text.replaceAll(/\s+/g, ' ')
        for (const fact of one.facts) {
          if (!plain.includes(fact.replaceAll('{}', face))) wrong.push({ line: said(face), face, lacks: fact, plain })
        }
      }
      const { value } = await runJson(it.bot, ...words('json'))
      for (const [path, wanted] of Object.entries(one.json)) {
        const found = path.split('.').reduce<unknown>((part, key) => (part as Record<string, unknown> | undefined)?.[key], value)
        const expected = typeof wanted === 'string' ? wanted.replaceAll('{}', 'json') : wanted
        if (found !== expected) wrong.push({ line: said('json'), face: 'json', path, found, expected })
      }
    }
    expect(wrong).toEqual([])
    expect(it.slack.failures).toEqual([])
  })
})
