// Bench `page`: the page of a service with 1,000 stores and 100,000 images while agents report events. How long home and images take to their first byte and to
// their last, how many bytes they and the page's own code are, and how soon home can be used in Chromium with a slow CPU.

import { mkdtempSync, readFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { startChromium } from '../support/clients/chromium.ts'
import { residentBytesMax } from '../support/agents/resident-memory.ts'
import { until } from '../support/until.ts'
import type { Figure } from './figure.ts'
import { figure, median, quantile } from './figure.ts'
import { imagesOf, registerAgents, startFleetAgents, statesOf } from './fleet-agents.ts'
import { removeFolder } from './measure.ts'

const AGENTS = 1_000
const ZONES = 10
/** Images of each agent. */
const IMAGES = 100
/** Events of all agents together in a second. */
const TRAFFIC = 20
/** Requests for each place. */
const REQUESTS = 200
/** A place that is slower than this is asked fewer times, in milliseconds for all its requests. */
const PLACE_MS_MAX = 40_000
/** Pause between two requests in milliseconds: people look at what they asked for. */
const PAUSE_MS = 50
/** Loads in the browser. */
const LOADS = 7
/** How many times slower than this machine the CPU of the browser is. */
const SLOW_DOWN = 4
const KIB = 1024
const MB = 1e6
const BOT = join(import.meta.dirname, '../../bot/main.ts')

const PLACES: readonly (readonly [name: string, path: string])[] = [
  ['home', '/'],
  ['stores', '/stores'],
  ['one store', '/stores/store-0500'],
  ['images', '/images'],
  ['images, second page by length', '/images?_sort=length&_order=down&_page=2'],
  ['images, filtered by a word', '/images?_find=debian-12-77'],
  ['images of one store', '/stores/store-0500/images'],
]

/** Measures the page. */
export async function benchPage(): Promise<Figure[]> {
  await using stack = new AsyncDisposableStack()
  const home = mkdtempSync(join(tmpdir(), 'slipway-bench-page-'))
  stack.defer(() => removeFolder(home))
  const { registered, tell } = await startFleetAgents(stack, { agents: AGENTS, zones: ZONES, images: IMAGES })
  registerAgents(home, registered)
  const port = await freePort()
  const environment = { PATH: process.env['PATH'], SLIPWAY_HOME: home, SLIPWAY_BOT_LOG: 'error', SLIPWAY_WEB_LISTEN: `127.0.0.1:${port}` }
  const bot = Bun.spawn([process.execPath, BOT, 'serve'], { env: environment, stdin: 'ignore', stdout: 'ignore', stderr: 'inherit' })
  stack.defer(async () => {
    bot.kill()
    await bot.exited
  })
  await until('all agents are connected', async () => (await tell('streams')) === AGENTS, 180_000)
  await until('all states are written', () => statesOf(home) === AGENTS, 60_000)
  const isRead = async (): Promise<boolean> => {
    // The bot writes to the same database.
    await Bun.sleep(500)
    return imagesOf(home) === AGENTS * IMAGES
  }
  await until('the catalogue is read', isRead, 600_000)
  const cookie = await enter(environment, port)
  await tell(`traffic ${TRAFFIC}`)

  const figures: Figure[] = []
  for (const [name, path] of PLACES) figures.push(...(await measurePlace(bot.pid, port, cookie, name, path)))
  figures.push(await measureCode(port, cookie))
  const browser = await startChromium()
  stack.defer(() => browser.close())
  figures.push(...(await measureBrowser(browser, port, cookie)))
  figures.push(figure('page', 'resident memory of the bot, highest', residentBytesMax(bot.pid) / MB, 'MB'))
  return figures
}

/** Enters with a link of the console; returns the cookie of the session. */
async function enter(environment: Readonly<Record<string, string | undefined>>, port: number): Promise<string> {
  const console = Bun.spawn([process.execPath, BOT, 'console', 'web', '--json'], { env: environment, stdin: 'ignore', stdout: 'pipe', stderr: 'inherit' })
  const { url } = (await new Response(console.stdout).json()) as { url: string }
  const origin = `http://127.0.0.1:${port}`
  const entered = await fetch(new URL(new URL(url).pathname, origin), { method: 'POST', redirect: 'manual', headers: { origin } })
  const cookie = entered.headers.get('set-cookie')?.split(';')[0]
  if (entered.status !== 303 || cookie === undefined) throw new Error(`the link did not enter: ${entered.status}`)
  return cookie
}

interface Answer {
  readonly firstMs: number
  readonly lastMs: number
  readonly bytes: Buffer
}

/** Sends one request on a connection of its own; the bytes are those on the wire, with the head. */
async function ask(port: number, cookie: string, path: string): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const pieces: Buffer[] = []
  const socket = createConnection(port, '127.0.0.1')
  socket.setNoDelay(true)
  let startMs = 0
  let firstMs = 0
  socket.on('connect', () => {
    startMs = performance.now()
    socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nCookie: ${cookie}\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n`)
  })
  socket.on('data', (piece: Buffer) => {
    if (pieces.length === 0) firstMs = performance.now() - startMs
    pieces.push(piece)
  })
  socket.on('error', reject)
  socket.on('close', () => resolve({ firstMs, lastMs: performance.now() - startMs, bytes: Buffer.concat(pieces) }))
  const answer = await promise
  const status = answer.bytes.subarray(0, 12).toString('latin1')
  if (status !== 'HTTP/1.1 200') throw new Error(`${path} was answered with ${status}`)
  return answer
}

async function measurePlace(pid: number, port: number, cookie: string, name: string, path: string): Promise<Figure[]> {
  const firsts: number[] = []
  const lasts: number[] = []
  const sizes: number[] = []
  const endMs = performance.now() + PLACE_MS_MAX
  const beforeMs = cpuMsOf(pid)
  for (let i = 0; i < REQUESTS && (i < 3 || performance.now() < endMs); i++) {
    const { firstMs, lastMs, bytes } = await ask(port, cookie, path)
    firsts.push(firstMs)
    lasts.push(lastMs)
    sizes.push(bytes.length)
    await Bun.sleep(PAUSE_MS)
  }
  return [
    figure('page', `${name}: first byte, p50`, quantile(firsts, 0.5), 'ms'),
    figure('page', `${name}: first byte, p99`, quantile(firsts, 0.99), 'ms'),
    figure('page', `${name}: CPU of the bot for each, with the events meanwhile`, (cpuMsOf(pid) - beforeMs) / firsts.length, 'CPU ms'),
    figure('page', `${name}: last byte, p99`, quantile(lasts, 0.99), 'ms'),
    figure('page', `${name}: over the wire, p99`, quantile(sizes, 0.99) / KIB, 'KiB'),
  ]
}

/** CPU time of a process, from its line in /proc: fields 14 and 15, in ticks of 10 ms. */
function cpuMsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10
}

/** The files that home and one store load: style, scripts and icon, and what their scripts import, as they travel. */
async function measureCode(port: number, cookie: string): Promise<Figure> {
  const files = new Set<string>()
  for (const path of ['/', '/stores/store-0500']) {
    const html = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { cookie } }).then((answer) => answer.text())
    for (const [, file = ''] of html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)) files.add(file)
  }
  for (const file of files) {
    const script = await fetch(`http://127.0.0.1:${port}${file}`, { headers: { cookie } }).then((answer) => answer.text())
    for (const [, imported = ''] of script.matchAll(/import\('(\/assets\/[^']+)'\)/g)) files.add(imported)
  }
  let bytes = 0
  for (const file of files) bytes += (await ask(port, cookie, file)).bytes.length
  return figure('page', `code of the page, ${files.size} files`, bytes / KIB, 'KiB')
}

/** Loads home in a browser with a slow CPU and no cache: until it is painted, and until a key moves to the search and no task of the page is running. */
async function measureBrowser(browser: Browser, port: number, cookie: string): Promise<Figure[]> {
  const origin = `http://127.0.0.1:${port}`
  const painted: number[] = []
  const usable: number[] = []
  for (let i = 0; i < LOADS; i++) {
    const context = await browser.newContext()
    const [name = '', value = ''] = cookie.split('=')
    await context.addCookies([{ name, value, url: origin }])
    const tab = await context.newPage()
    const session = await context.newCDPSession(tab)
    await session.send('Emulation.setCPUThrottlingRate', { rate: SLOW_DOWN })
    await tab.goto(origin, { waitUntil: 'load' })
    await tab.keyboard.press('/')
    await tab.waitForFunction(`document.activeElement?.id === 'search'`)
    const [paintMs, loadedMs] = await tab.evaluate<readonly [number, number]>(LOOK_AT_TIMES)
    painted.push(paintMs)
    usable.push(loadedMs)
    await context.close()
  }
  return [
    figure('page', `home in Chromium, CPU ${SLOW_DOWN}x slower: first paint, p50`, median(painted), 'ms'),
    figure('page', `home in Chromium, CPU ${SLOW_DOWN}x slower: interactive, p50`, median(usable), 'ms'),
    figure('page', `home in Chromium, CPU ${SLOW_DOWN}x slower: interactive, worst`, Math.max(...usable), 'ms'),
  ]
}

/** Runs in the browser: first paint, and the end of the scripts or of the last long task that followed them. */
const LOOK_AT_TIMES = `(async () => {
  const [navigation] = performance.getEntriesByType('navigation')
  const [paint] = performance.getEntriesByName('first-contentful-paint')
  const ends = await new Promise((resolve) => {
    const seen = []
    new PerformanceObserver((list) => seen.push(...list.getEntries().map(({ startTime, duration }) => startTime + duration))).observe({ type: 'longtask', buffered: true })
    setTimeout(() => resolve(seen), 300)
  })
  return [paint.startTime, Math.max(paint.startTime, navigation.domContentLoadedEventEnd, ...ends)]
})()`

async function freePort(): Promise<number> {
  const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response() })
  const { port = 0 } = server
  await server.stop(true)
  return port
}
