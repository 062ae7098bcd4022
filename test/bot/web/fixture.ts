// The page as an application without a socket, on a bot whose agents answer what the test gives, and a browser that keeps a cookie.

import type { Role } from '../../../protocol/access.ts'
import type { Command } from '../../../bot/commands/command.ts'
import { keepRunning } from '../../../bot/commands/bulk/keep-running.ts'
import { openBot } from '../../../bot/open.ts'
import type { OpenBot } from '../../../bot/open.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'
import type { Log } from '../../../bot/system/log.ts'
import { createGateway } from '../../../bot/gateway/gateway.ts'
import { createPageApp } from '../../../bot/web/page-app.tsx'
import type { SlackSignIn } from '../../../bot/web/sign-in/slack-sign-in.ts'
import type { PagePerson } from '../../../bot/entry/entry-links.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import type { ManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { refuse, storeOf } from '../commands/scripted-fleet.ts'
import type { Asked, Script } from '../commands/scripted-fleet.ts'

export const CONSOLE: PagePerson = { id: '', name: 'root' }
const HOST = '127.0.0.1:8422'

export interface TestPage extends Disposable {
  readonly bot: OpenBot
  readonly clock: ManualClock
  /** What the application logged. */
  readonly logged: string[]
  /** Requests that agents got, as `store METHOD /path`. */
  readonly asked: string[]
  /** Every route of the application, as `GET /stores/:name`. */
  readonly routes: readonly string[]
  request(path: string, init?: RequestInit & { readonly host?: string }): Promise<Response>
  /** Enters by a link; the session of a person of Slack has the roles that the bot gives. */
  enter(person?: PagePerson): Promise<Visitor>
  /** Enters as somebody of Slack with a role for the whole fleet. */
  enterAs(role: Role): Promise<Visitor>
}

export interface Visitor {
  readonly cookie: string
  get(path: string): Promise<{ readonly status: number; readonly text: string; readonly location: string | null }>
  /** Sends a form with the token of the session, which `fields` may replace. */
  post(
    path: string,
    fields?: Readonly<Record<string, string>>,
    headers?: Readonly<Record<string, string>>,
  ): Promise<{ readonly status: number; readonly text: string }>
}

export interface TestPageOptions {
  readonly scripts?: Readonly<Record<string, Script>>
  /** Commands besides those of the table. */
  readonly more?: readonly Command[]
  readonly publicUrl?: string
  /** Lets people sign in with Slack. */
  readonly signIn?: (deps: { readonly clock: ManualClock; readonly log: Log }) => SlackSignIn
  /** Says that the service stops. */
  readonly stopping?: AbortSignal
}

/** Carries out the bulk runs that the user of the console begins on the page, as the service does. */
export function serveRuns({ bot }: Pick<TestPage, 'bot'>): AsyncDisposable {
  const actorOf = () => Promise.resolve({ name: 'root', role: 'admin' } as const)
  return keepRunning({ ...bot, log: createMemoryLog(), surface: 'console', takesOver: false, actorOf })
}

/** Opens the page of a bot with a store for each script. */
export function openTestPage({ scripts = {}, more = [], publicUrl, signIn, stopping }: TestPageOptions = {}): TestPage {
  const clock = createManualClock()
  const asked: string[] = []
  const logged: string[] = []
  const bot = openBot('', {
    clock,
    database: openMemoryDatabase(),
    approvalRule: 'on',
    fetch: async (address, init): Promise<Response> => {
      const url = new URL(address)
      const name = url.hostname.replace('.example', '')
      const key = `${init.method ?? 'GET'} ${url.pathname.replace('/v1', '')}`
      asked.push(`${name} ${key}`)
      const health = { state: 'running', checks: [], asOf: '2026-01-01T00:00:00.000Z' }
      const script: Script = { 'GET /health': health, 'GET /store': storeOf({ name }), ...scripts[name] }
      const given = script[key]
      const body: unknown = typeof init.body === 'string' ? JSON.parse(init.body) : undefined
      const value: unknown = typeof given === 'function' ? given({ request: key, query: Object.fromEntries(url.searchParams), body } satisfies Asked) : given
      if (value instanceof Response) return typeof given === 'function' ? value : (value.clone() as Response)
      return value === undefined ? refuse('not-found', `There is nothing at ${url.pathname}.`) : Response.json(value)
    },
  })
  for (const name of Object.keys(scripts))
    bot.fleet.registry.add({ name, url: `http://${name}.example`, token: 'x', zone: 'zone-1', provider: 'local', storeId: null }, clock.nowMs())
  const context: OpenBot['context'] = (actor, surface) => ({ ...bot.context(actor, surface), commands: [...bot.context(actor, surface).commands, ...more] })
  const groups = { refresh: () => Promise.resolve(), groupsOf: () => new Set<string>() }
  const say = (text: string): void => void logged.push(text)
  const log = { debug: say, info: say, warn: say, error: say }
  const { address } = bot.page
  address.note(`http://${HOST}`)
  const gateway = createGateway({ bot, log, origin: address.origin })
  const app = createPageApp({
    bot: { ...bot, context },
    groups,
    log,
    publicUrl,
    ...(stopping ? { stopping } : {}),
    uploads: { answer: gateway.links.fetch, loads: gateway.assets },
    ...(signIn ? { signIn: signIn({ clock, log }) } : {}),
  })
  const request = async (path: string, { host = HOST, ...init }: RequestInit & { readonly host?: string } = {}): Promise<Response> => {
    const headers = new Headers(init.headers)
    headers.set('host', host)
    return app.request(`http://${host}${path}`, { ...init, headers })
  }
  const enter = async (person: PagePerson = CONSOLE): Promise<Visitor> => {
    const { secret } = bot.page.links.issue(person)
    const entered = await request(`/enter/${secret}`, { method: 'POST' })
    const cookie = entered.headers.get('set-cookie')?.split(';')[0] ?? ''
    const get: Visitor['get'] = async (path) => {
      const answer = await request(path, { headers: { cookie } })
      return { status: answer.status, text: await answer.text(), location: answer.headers.get('location') }
    }
    const token = /name="_token" value="([^"]*)"/.exec((await get('/c')).text)?.[1] ?? ''
    let sent = 0
    return {
      cookie,
      get,
      async post(path, fields = {}, headers = {}) {
        const form = new URLSearchParams({ _token: token, _once: `form ${++sent}`, ...fields })
        const body = form.toString()
        const type = { 'content-type': 'application/x-www-form-urlencoded' }
        const answer = await request(path, { method: 'POST', body, headers: { cookie, ...type, ...headers } })
        return { status: answer.status, text: await answer.text() }
      },
    }
  }
  return {
    bot,
    clock,
    logged,
    asked,
    routes: app.routes.map(({ method, path }) => `${method} ${path}`),
    request,
    enter,
    enterAs: (role) => {
      const id = `U0${role.toUpperCase()}`
      bot.roles.grant({ subject: `user:${id}`, role, zone: '', store: '', channel: '' }, 'test', clock.nowMs())
      return enter({ id, name: `${role} (${id})` })
    },
    [Symbol.dispose]: () => bot[Symbol.dispose](),
  }
}
