// A bot whose agents answer each request with a value that the test gives, without a network.

import { blankImage } from '../../../agent/images/records/image-file.ts'
import type { CommandActor, CommandContext, FileSender } from '../../../bot/commands/command.ts'
import { runLine } from '../../../bot/commands/run.ts'
import { openBot } from '../../../bot/open.ts'
import type { OpenBot, OpenBotDeps } from '../../../bot/open.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'
import type { View } from '../../../protocol/views/view.ts'
import type { Role } from '../../../protocol/access.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { makeProblem } from '../../../protocol/problems.ts'
import type { ProblemCode } from '../../../protocol/problems.ts'
import { storeSchema } from '../../../protocol/store.ts'
import type { Store } from '../../../protocol/store.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import type { ManualClock } from '../../support/memory/manual-clock.ts'

/** Answers by `METHOD /path` after `/v1`, and by `*` to every other request; a function gets the query and the body. */
export type Script = Readonly<Record<string, unknown>>

export interface Asked {
  /** `METHOD /path`. */
  readonly request: string
  readonly query: Readonly<Record<string, string>>
  readonly body: unknown
}

/** An answer that refuses. */
export function refuse(code: ProblemCode, detail: string): Response {
  const document = makeProblem(code, detail)
  return Response.json(document, { status: document.status, headers: { 'content-type': 'application/problem+json' } })
}

export function imageOf(number: number, members: Partial<Image> = {}): Image {
  const source = { kind: 'upload', uploadId: null, storeId: null, url: null, filename: null, device: null } as const
  const known = { id: `img_${String(number).padStart(26, '0')}`, name: `disk-${number}`, kind: 'system', format: 'raw', status: 'available', source } as const
  return blankImage({ ...known, length: 600_000, virtualSize: 600_000, storedSize: 200_000, ...members }, Date.UTC(2026, 0, 1))
}

export function storeOf(members: Partial<Store> = {}): Store {
  return storeSchema.parse({
    ...{ id: '11111111-2222-4333-8444-555555555555', name: 'edge-a', description: '', mount: '/srv/slipway', zone: 'zone-1', scope: 'zone' },
    ...{ enabled: true, disabledReason: null, version: '0.1.0', uploads: { active: 0 }, transfer: { uploadConcurrency: 1, downloadConcurrency: 1 } },
    capacity: { total: 1e12, used: 4e11, free: 6e11, reserved: 1e9, available: 5.99e11 },
    slices: { count: 10, storedBytes: 1e9, imageBytes: 3e9, savingRatio: 3 },
    images: { available: 2, deleted: 0, other: 0 },
    retention: { deletion: 'delayed', seconds: 259_200 },
    ...members,
  })
}

export const page = (items: readonly unknown[], next: string | null = null) => ({ items, next })

export interface ScriptedFleet extends Disposable {
  readonly bot: OpenBot
  readonly clock: ManualClock
  /** Requests, as `store METHOD /path`. */
  readonly asked: string[]
  /** The same with the query and the body. */
  readonly sent: string[]
  run(line: string, options?: RunOptions): Promise<View>
}

export interface RunOptions {
  readonly name?: string
  readonly role?: Role
  /** The role in one store, which the person has there instead. */
  readonly there?: { readonly store: string; readonly role: Role }
  readonly files?: FileSender
  readonly onInterim?: (view: View) => void
  /** The console without it. */
  readonly surface?: CommandContext['surface']
}

interface FleetOptions extends Pick<OpenBotDeps, 'approvalRule'> {
  /** Names of the stores that are registered; all of them by default. */
  readonly registered?: readonly string[]
}

/** Opens a bot with a store for each script; one that answers nothing for a request has nothing there. */
export function openScriptedFleet(scripts: Readonly<Record<string, Script>>, { registered, ...deps }: FleetOptions = {}): ScriptedFleet {
  const clock = createManualClock()
  const asked: string[] = []
  const sent: string[] = []
  const bot = openBot('', {
    ...deps,
    clock,
    database: openMemoryDatabase(),
    fetch: async (address, init): Promise<Response> => {
      const url = new URL(address)
      const name = url.hostname.replace('.example', '')
      const key = `${init.method ?? 'GET'} ${url.pathname.replace('/v1', '')}`
      asked.push(`${name} ${key}`)
      sent.push(`${name} ${key}${url.search === '' ? '' : decodeURIComponent(url.search)}${typeof init.body === 'string' ? ` ${init.body}` : ''}`)
      const script: Script = {
        'GET /health': { state: 'running', checks: [], asOf: '2026-01-01T00:00:00.000Z' },
        'GET /store': storeOf({ name }),
        ...scripts[name],
      }
      const given = script[key] ?? script['*']
      const body: unknown = typeof init.body === 'string' ? JSON.parse(init.body) : undefined
      const value: unknown = typeof given === 'function' ? given({ request: key, query: Object.fromEntries(url.searchParams), body } satisfies Asked) : given
      if (value instanceof Response) return value.clone() as Response
      return value === undefined ? refuse('not-found', `There is nothing at ${url.pathname}.`) : Response.json(value)
    },
  })
  for (const name of registered ?? Object.keys(scripts))
    bot.fleet.registry.add({ name, url: `http://${name}.example`, token: 'x', zone: 'zone-1', provider: 'local', storeId: null }, clock.nowMs())
  return {
    bot,
    clock,
    asked,
    sent,
    run: (line, { name = 'ann', role = 'admin', surface = 'console', there, files, onInterim } = {}) =>
      runLine(
        {
          ...bot.context(actorOf({ name, role, there, surface }), surface),
          ...(files ? { files } : {}),
          ...(onInterim ? { onInterim } : {}),
        },
        line,
      ),
    [Symbol.dispose]: () => bot[Symbol.dispose](),
  }
}

function actorOf({
  name,
  role,
  there,
  surface,
}: Required<Pick<RunOptions, 'name' | 'role' | 'surface'>> & { readonly there: RunOptions['there'] }): CommandActor {
  const id = surface === 'slack' ? { id: `U0${name.toUpperCase()}` } : {}
  return { name, role, ...id, ...(there && { roleIn: (store: { readonly name: string }) => (store.name === there.store ? there.role : role) }) }
}
