// Tasks that a command of Slack is about to start in stores. Each is recorded before its request is sent, so that a bot that is killed before the card of the task is in
// the outbox finds the task again (bot/slack/find-started.ts).

import { z } from 'zod'
import type { Fetch } from '../../protocol/client/exchange.ts'
import type { Clock } from '../system/clock.ts'
import type { BotDatabase } from '../system/database.ts'

/** Rows that are kept; of more, the oldest are forgotten. */
export const STARTED_MAX = 1_000
/** Routes whose answer 202 is a new task. */
const TASK_ROUTES = /\/v1\/(?:sync|images|store\/cleanup|reconcile|images\/[^/]+\/exports|tasks\/[^/]+\/retry|schedules\/[^/]+\/run)$/

const taskSchema = z.object({ id: z.string().max(100) })
const pageSchema = z.object({ items: z.array(taskSchema) })

/** Who asked for what, and where. `command` has no secrets. */
export interface Ask {
  readonly command: string
  readonly channel: string
  /** Slack id and name of the person. */
  readonly user: string
  readonly person: string
}

/** One request that was about to start a task. */
export interface StartedTask extends Ask {
  readonly id: number
  /** The same for all requests of one command. */
  readonly ask: string
  /** Address of the store, and path of the request. */
  readonly url: string
  readonly path: string
  readonly newest: string
  readonly task: string
  readonly begunMs: number
}

/** The requests of one command. */
export interface Watch {
  /** Sends requests; those that start tasks are recorded first. */
  readonly over: (send: Fetch) => Fetch
  /** Forgets the requests, because the person has the answer. Part of the caller's transaction. */
  readonly forget: () => void
}

export interface Started {
  watch(ask: Ask): Watch
  /** What an earlier run of the bot left, oldest first. */
  left(): StartedTask[]
  forget(ask: string): void
}

/** Opens the record on the bot's database; every row is durable before its request is sent. */
export function createStarted(database: BotDatabase, clock: Pick<Clock, 'nowMs'>): Started {
  const insert = database.query<
    { id: number },
    Record<'command' | 'ask' | 'channel' | 'user' | 'person' | 'url' | 'path' | 'newest', string> & { now: number }
  >(
    `INSERT INTO started_tasks (command, ask, channel, user, person, url, path, newest, begun_ms)
     VALUES ($command, $ask, $channel, $user, $person, $url, $path, $newest, $now) RETURNING id`,
  )
  const trim = database.query<null, { max: number }>('DELETE FROM started_tasks WHERE id <= (SELECT max(id) - $max FROM started_tasks)')
  const answered = database.query<null, { id: number; task: string }>('UPDATE started_tasks SET task = $task WHERE id = $id')
  const refused = database.query<null, { id: number }>('DELETE FROM started_tasks WHERE id = $id')
  const forget = database.query<null, { ask: string }>('DELETE FROM started_tasks WHERE ask = $ask')
  const left = database.query<Omit<StartedTask, 'begunMs'> & { begun_ms: number }, []>('SELECT * FROM started_tasks ORDER BY id')
  const begin = database.transaction((row: Parameters<typeof insert.get>[0]): number => {
    const inserted = insert.get(row)
    trim.run({ max: STARTED_MAX })
    return inserted?.id ?? 0
  })
  return {
    watch: ({ command, channel, user, person }) => {
      const ask = crypto.randomUUID()
      let hasBegun = false
      return {
        over: (send) => async (url, init) => {
          const at = new URL(url)
          if (init.method !== 'POST' || !TASK_ROUTES.test(at.pathname)) return send(url, init)
          const path = TASK_ROUTES.exec(at.pathname)?.[0] ?? ''
          const base = `${at.origin}${at.pathname.slice(0, at.pathname.length - path.length)}`
          const newest = await newestTask(send, base, init)
          hasBegun = true
          const id = begin.immediate({ command, ask, channel, user, person, url: base, path, newest, now: clock.nowMs() })
          const answer = await send(url, init)
          if (answer.status === 202) answered.run({ id, task: await taskOf(answer) })
          else if (answer.status < 500) refused.run({ id })
          return answer
        },
        forget: () => {
          if (hasBegun) forget.run({ ask })
        },
      }
    },
    left: () => left.all().map(({ begun_ms, ...row }) => ({ ...row, begunMs: begun_ms })),
    forget: (ask) => void forget.run({ ask }),
  }
}

/** Id of the newest task of a store, `none` without any; empty when it does not say. */
async function newestTask(send: Fetch, base: string, init: Parameters<Fetch>[1]): Promise<string> {
  try {
    const headers = new Headers(init.headers)
    headers.delete('content-type')
    const { signal } = init
    const answer = await send(`${base}/v1/tasks?limit=1`, { method: 'GET', headers, ...(signal ? { signal } : {}) })
    const page = pageSchema.safeParse(await answer.json())
    return page.success ? (page.data.items[0]?.id ?? 'none') : ''
  } catch {
    // The request that follows fails too, and says why.
    return ''
  }
}

async function taskOf(answer: Response): Promise<string> {
  try {
    return taskSchema.safeParse(await answer.clone().json()).data?.id ?? ''
  } catch {
    // The caller reads the same body, and says what is wrong with it.
    return ''
  }
}
