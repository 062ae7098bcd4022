// A page of another origin in a real headless browser, which uploads on order and reports the results.

import { join } from 'node:path'
import { createTemporaryFolder } from '../machine/temporary-folder.ts'

/** Arguments that keep Chromium to this page: no window, no sandbox (tests run as root), and no traffic of its own. */
const CHROMIUM_ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-default-apps',
  '--disable-extensions',
  '--disable-sync',
]

/** One upload of the page. */
export interface BrowserOrder {
  /** `round trip`: with tus-js-client, then read back, terminated and requested again, as in test/support/clients/tus-round-trip.mjs. */
  readonly client: 'tus-js-client' | 'uppy' | 'round trip'
  readonly endpoint: string
  readonly headers: Readonly<Record<string, string>>
  readonly options: Readonly<Record<string, unknown>>
  /** Bytes after which tus-js-client is stopped; a second client then finds the upload in localStorage. */
  readonly abortAfter?: number
}

/** The result of an order. */
export interface BrowserReport {
  readonly outcome: 'done' | 'failed'
  readonly url: string | null
  readonly reason: string
  /** Earlier uploads that were found and resumed. */
  readonly resumed: number
}

export interface BrowserPage extends AsyncDisposable {
  /** Origin of the page, which the server has to allow. */
  readonly origin: string
  /** Opens the page in Chromium, which performs the orders one after the other. Throws when the browser exits without a report. */
  run(orders: readonly BrowserOrder[]): Promise<readonly BrowserReport[]>
}

/** Starts the server of the page, which uploads `content`. */
export async function openBrowserPage(content: Uint8Array<ArrayBuffer>): Promise<BrowserPage> {
  const built = await Bun.build({ entrypoints: [join(import.meta.dir, 'browser-client.mjs')], target: 'browser', format: 'esm' })
  const script = await built.outputs[0]?.text()
  if (script === undefined) throw new Error('the page has no script')
  let orders: readonly BrowserOrder[] = []
  let reported = Promise.withResolvers<readonly BrowserReport[]>()
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    routes: {
      '/': () =>
        new Response('<!doctype html><title>uploads</title><script type="module" src="/client.js"></script>', { headers: { 'Content-Type': 'text/html' } }),
      '/client.js': () => new Response(script, { headers: { 'Content-Type': 'text/javascript' } }),
      '/orders': () => Response.json(orders),
      '/content': () => new Response(content),
      '/reports': {
        POST: async (request) => {
          reported.resolve((await request.json()) as BrowserReport[])
          return new Response(null, { status: 204 })
        },
      },
    },
    fetch: () => new Response(null, { status: 404 }),
  })
  return {
    origin: server.url.origin,
    async run(wanted) {
      orders = wanted
      reported = Promise.withResolvers()
      await using profile = await createTemporaryFolder()
      const child = Bun.spawn(['chromium', ...CHROMIUM_ARGUMENTS, `--user-data-dir=${profile.path}`, '--remote-debugging-port=0', `${server.url.origin}/`], {
        stdin: 'ignore',
        stdout: 'ignore',
        stderr: 'pipe',
      })
      const complaints = new Response(child.stderr).text()
      const ended = child.exited.then(async (code): Promise<never> => {
        throw new Error(`chromium ended with ${code} before the page had finished: ${(await complaints).slice(-2000)}`)
      })
      try {
        return await Promise.race([reported.promise, ended])
      } finally {
        child.kill()
        await child.exited
        ended.catch(() => {})
      }
    },
    async [Symbol.asyncDispose]() {
      await server.stop(true)
    },
  }
}
