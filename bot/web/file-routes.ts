// Downloads of files of a mount path: the bytes go from the agent through the bot to the browser, and nothing is kept. The page of a store's files leads here.

import type { Context, Hono } from 'hono'
import { ProblemError } from '../../protocol/problems.ts'
import type { Answer } from '../../protocol/client/exchange.ts'
import type { CommandContext } from '../commands/command.ts'
import { createSlots } from '../system/slots.ts'
import { fileHref } from './file-href.ts'
import type { PageVariables } from './session-context.ts'

/** Most downloads at the same time, and most of one session: each holds a connection for as long as the browser is slow. */
export const DOWNLOADS_MAX = 64
export const DOWNLOADS_PER_SESSION_MAX = 8
/** Longest path in characters. */
const PATH_LENGTH_MAX = 4096
/** What the browser may ask about a file, and what it learns. */
const ASKED = { range: 'range', 'if-range': 'ifRange', 'if-match': 'ifMatch', 'if-none-match': 'ifNoneMatch' } as const
const TOLD = ['content-length', 'content-range', 'accept-ranges', 'etag', 'last-modified']

/** Adds the route. */
export function addFiles(app: Hono<{ Variables: PageVariables }>): void {
  const slots = createSlots({ max: DOWNLOADS_MAX, perKeyMax: DOWNLOADS_PER_SESSION_MAX })
  app.get('/stores/:name/file', async (c) => {
    const [context, path] = [c.get('context'), c.req.query('path') ?? '']
    const store = context.fleet.registry.find(c.req.param('name'))
    if (!store) return c.notFound()
    if (fileHref(context, { store: store.name, path }) === undefined)
      return c.text('Files can be downloaded with the role operator. Ask an admin of the bot.\n', 403)
    if (path === '' || path.length > PATH_LENGTH_MAX) return c.notFound()
    const slot = slots.take(c.get('session').id)
    if (!slot) {
      c.header('Retry-After', '10')
      return c.text('Too many downloads are in progress. Wait until one has ended, and try again.\n', 503)
    }
    let answer: Answer | undefined
    try {
      answer = await context.fleet.client(store).files.content(path, { signal: c.req.raw.signal, ...conditionsOf(c) })
      record(context, `${store.name} ${path}`)
      if (answer.status !== 304) return answerOf(answer, path, slot)
      slot[Symbol.dispose]()
      await answer.close()
      return new Response(null, { status: 304, headers: toldOf(answer) })
    } catch (error) {
      slot[Symbol.dispose]()
      // What is not in the audit log is not sent, and the agent need not wait for its reader.
      await answer?.close()
      if (!(error instanceof ProblemError)) throw error
      return c.text(`${error.problem.detail} ${error.problem.action}\n`, error.code === 'peer-unreachable' ? 502 : error.code === 'not-found' ? 404 : 409)
    }
  })
}

function conditionsOf(c: Context): Record<string, string> {
  return Object.fromEntries(
    Object.entries(ASKED).flatMap(([header, member]) => {
      const value = c.req.header(header)
      return value === undefined ? [] : [[member, value]]
    }),
  )
}

function toldOf(answer: Answer): Headers {
  return new Headers(
    TOLD.flatMap((header): [string, string][] => {
      const value = answer.headers.get(header)
      return value === null ? [] : [[header, value]]
    }),
  )
}

/** The agent's answer as a download. The browser never shows it: it may be a page that somebody made. */
function answerOf(answer: Answer, path: string, slot: Disposable): Response {
  const name = path.slice(path.lastIndexOf('/') + 1)
  const headers = new Headers({
    'Content-Type': 'application/octet-stream',
    // RFC 8187: a name of any characters.
    'Content-Disposition': `attachment; filename*=UTF-8''${encodeURIComponent(name).replaceAll(/['()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)}`,
    'Content-Security-Policy': 'sandbox',
  })
  for (const [header, value] of toldOf(answer)) headers.set(header, value)
  const pieces = answer.body()
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await pieces.next()
        if (done) {
          slot[Symbol.dispose]()
          controller.close()
        } else controller.enqueue(value)
      } catch (error) {
        slot[Symbol.dispose]()
        controller.error(error)
      }
    },
    async cancel() {
      slot[Symbol.dispose]()
      await pieces.return(undefined)
    },
  })
  return new Response(body, { status: answer.status, headers })
}

/** Reading a file is in the audit log as a look at its folder is. */
function record({ audit, clock, actor }: CommandContext, target: string): void {
  const { name, role } = actor
  audit.append({ timeMs: clock.nowMs(), actor: name, role, surface: 'page', command: 'store browse', target, outcome: 'done', detail: 'Downloaded.' })
}
