// Cards: one message for each write, edited while its tasks run and once more when they have ended. The outbox delivers them. Unfinished cards are stored in
// the database, so that the bot resumes them after a restart.

import { z } from 'zod'
import type { CommandContext } from '../commands/command.ts'
import { followTasks, tasksView } from '../commands/task/task-view.ts'
import { taskSchema } from '../../protocol/task.ts'
import type { Outbox } from '../outbox/outbox.ts'
import type { BotDatabase } from '../system/database.ts'
import type { Log } from '../system/log.ts'
import type { View } from '../../protocol/views/view.ts'
import { isEnded } from '../../protocol/views/phrases.ts'

/** Shortest time between two Views that show progress, in milliseconds: Slack's edits are not faster. */
const PROGRESS_INTERVAL_MS = 3_000

export interface CardsDeps {
  readonly database: BotDatabase
  readonly outbox: Pick<Outbox, 'put'>
  readonly log: Log
  /** The context in which tasks are read. */
  readonly context: CommandContext
}

export interface Cards extends AsyncDisposable {
  /** Queues a card for the channel, or for the person where the bot may not post, and follows its tasks. Durable when it returns. `also` is part of its transaction. */
  open(channel: string, orElse: string, view: View, also?: () => void): void
  /** Resumes the cards that an earlier run left unfinished. */
  resume(): void
}

const keptSchema = z.array(z.object({ store: z.string(), task: taskSchema }))

interface Row {
  key: string
  channel: string
  title: string
  tasks: string
}

/** Creates the cards of one workspace. Disposing stops following them; the next run of the bot resumes them. */
export function createCards({ database, outbox, log, context }: CardsDeps): Cards {
  const insert = database.query<null, { key: string; channel: string; title: string; tasks: string }>(
    'INSERT INTO cards (key, channel, title, tasks) VALUES ($key, $channel, $title, $tasks)',
  )
  const remove = database.query<null, { key: string }>('DELETE FROM cards WHERE key = $key')
  const list = database.query<Row, []>('SELECT key, channel, title, tasks FROM cards')
  const stop = new AbortController()
  const following = new Set<Promise<void>>()

  const end = database.transaction((key: string, channel: string, view: View) => {
    outbox.put({ key, channel, view })
    remove.run({ key })
  })
  const follow = async (key: string, channel: string, begun: View): Promise<void> => {
    let last = begun
    let shownMs = context.clock.nowMs()
    for await (const view of followTasks(context, begun, stop.signal)) {
      last = view
      if (hasEnded(view) || context.clock.nowMs() - shownMs < PROGRESS_INTERVAL_MS) continue
      shownMs = context.clock.nowMs()
      outbox.put({ key, channel, view })
    }
    end.immediate(key, channel, last)
  }
  const begin = (key: string, channel: string, view: View): void => {
    const work = follow(key, channel, view).catch((error: unknown) => {
      if (!stop.signal.aborted) log.error('following a card failed', { error, key, channel })
    })
    following.add(work)
    void work.finally(() => following.delete(work))
  }
  const put = database.transaction((key: string, channel: string, orElse: string, view: View, also: (() => void) | undefined) => {
    also?.()
    outbox.put({ key, channel, orElse, view })
    if (!hasEnded(view)) insert.run({ key, channel, title: view.title, tasks: JSON.stringify(view.progress) })
  })

  return {
    open(channel, orElse, view, also) {
      const key = `card ${crypto.randomUUID()}`
      put.immediate(key, channel, orElse, view, also)
      if (!hasEnded(view)) begin(key, channel, view)
    },
    resume() {
      for (const { key, channel, title, tasks } of list.all()) {
        const kept = keptSchema.safeParse(JSON.parse(tasks))
        if (kept.success) begin(key, channel, tasksView(title, kept.data, context.clock.nowMs()))
        else remove.run({ key })
      }
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await Promise.all(following)
    },
  }
}

/** Whether nothing of the card is in progress. */
function hasEnded(view: View): boolean {
  return view.progress.every(({ task }) => isEnded(task.state))
}
