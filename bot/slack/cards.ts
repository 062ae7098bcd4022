// Cards: one message for each write, edited while its tasks run and once more when they have ended. Unfinished cards are stored in the
// database, so that the bot resumes them after a restart.

import { z } from 'zod'
import type { CommandContext } from '../commands/command.ts'
import { followTasks, tasksView } from '../commands/task/task-view.ts'
import { taskSchema } from '../../protocol/task.ts'
import type { BotDatabase } from '../system/database.ts'
import type { Log } from '../system/log.ts'
import type { SlackMessage } from '../views/blocks.ts'
import type { View } from '../views/view.ts'
import { isEnded } from '../views/phrases.ts'
import type { RenderView } from './message.ts'
import type { Pacing } from './pacing.ts'

/** The part of Slack's Web API that cards need. */
export interface CardPort {
  /** Posts a message; returns its channel and ts, or undefined when the bot may not post there. */
  post(channel: string, message: SlackMessage): Promise<{ readonly channel: string; readonly ts: string } | undefined>
  update(channel: string, ts: string, message: SlackMessage): Promise<void>
}

export interface CardsDeps {
  readonly database: BotDatabase
  readonly port: CardPort
  readonly pacing: Pick<Pacing, 'tryEdit' | 'waitForEdit'>
  readonly log: Log
  /** The context in which tasks are read. */
  readonly context: CommandContext
  readonly render: RenderView
}

export interface Cards extends AsyncDisposable {
  /** Posts a card and starts to follow its tasks; returns false when it could not be posted. */
  open(channel: string, view: View): Promise<boolean>
  /** Resumes the cards that an earlier run left unfinished. */
  resume(): void
}

const keptSchema = z.array(z.object({ store: z.string(), task: taskSchema }))

/** Creates the cards of one workspace. Disposing stops following them; the next run of the bot resumes them. */
export function createCards(deps: CardsDeps): Cards {
  const { database, port, pacing, log, context } = deps
  const insert = database.query<null, { channel: string; ts: string; title: string; tasks: string }>(
    'INSERT OR REPLACE INTO cards (channel, ts, title, tasks) VALUES ($channel, $ts, $title, $tasks)',
  )
  const remove = database.query<null, { channel: string; ts: string }>('DELETE FROM cards WHERE channel = $channel AND ts = $ts')
  const list = database.query<{ channel: string; ts: string; title: string; tasks: string }, []>('SELECT * FROM cards')
  const stop = new AbortController()
  const following = new Set<Promise<void>>()

  const follow = async (channel: string, ts: string, begun: View): Promise<void> => {
    const key = `${channel}:${ts}`
    let last = begun
    for await (const view of followTasks(context, begun, stop.signal)) {
      last = view
      const isEnd = view.progress.every(({ task }) => isEnded(task.state))
      if (!isEnd && pacing.tryEdit(key)) await port.update(channel, ts, deps.render(view))
    }
    await pacing.waitForEdit(key, stop.signal)
    await port.update(channel, ts, deps.render(last))
    remove.run({ channel, ts })
  }
  const begin = (channel: string, ts: string, view: View): void => {
    const work = follow(channel, ts, view).catch((error: unknown) => {
      if (!stop.signal.aborted) log.error('updating a card failed', { error, channel, ts })
    })
    following.add(work)
    void work.finally(() => following.delete(work))
  }

  return {
    async open(channel, view) {
      const posted = await port.post(channel, deps.render(view))
      if (!posted) return false
      if (view.progress.some(({ task }) => !isEnded(task.state))) {
        insert.run({ channel: posted.channel, ts: posted.ts, title: view.title, tasks: JSON.stringify(view.progress) })
        begin(posted.channel, posted.ts, view)
      }
      return true
    },
    resume() {
      for (const { channel, ts, title, tasks } of list.all()) {
        const kept = keptSchema.safeParse(JSON.parse(tasks))
        if (kept.success) begin(channel, ts, tasksView(title, kept.data, context.clock.nowMs()))
        else remove.run({ channel, ts })
      }
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await Promise.all(following)
    },
  }
}
