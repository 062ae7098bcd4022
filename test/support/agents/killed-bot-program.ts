// The bot's service that kills itself with SIGKILL at a point: `bun killed-bot-program.ts POINT`. A point is `before` or `after`, then `sql` with a part of a statement, or `http` with
// method and a part of the path: `after sql UPDATE bulk_items SET state`, `before http DELETE /v1/images/`. Before a statement means within its transaction, which is then lost;
// after it means once that is durable. After a request means that the agent has answered and the bot has not seen it. Without a point it is the usual service.

import { Database } from 'bun:sqlite'
import type { Fetch } from '../../../protocol/client/exchange.ts'
import { readBotConfig } from '../../../bot/config.ts'
import { startBot } from '../../../bot/serve.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import { createLog } from '../../../bot/system/log.ts'

const [when = '', what = '', ...rest] = (process.argv[2] ?? '').split(' ')
const part = rest.join(' ')
const die = (): void => void process.kill(process.pid, 'SIGKILL')

if (what === 'sql') {
  const query = Database.prototype.query
  Database.prototype.query = function patched(this: Database, sql: string) {
    const statement = query.call(this, sql)
    if (!sql.replaceAll(/\s+/g, ' ').includes(part)) return statement
    for (const name of ['run', 'get', 'all'] as const) {
      const original = statement[name].bind(statement) as (...values: unknown[]) => unknown
      Object.defineProperty(statement, name, {
        value: (...values: unknown[]) => {
          if (when === 'before') die()
          const result = original(...values)
          // Transactions are synchronous: a microtask runs after the commit, and before anything that waits for it.
          queueMicrotask(die)
          return result
        },
      })
    }
    return statement
  } as typeof query
}
if (what === 'http') {
  const [method = '', path = ''] = part.split(' ')
  const send = globalThis.fetch as Fetch
  const patched: Fetch = async (url, init) => {
    const isMeant = (init.method ?? 'GET') === method && new URL(url).pathname.includes(path)
    if (isMeant && when === 'before') die()
    const answer = await send(url, init)
    if (isMeant) die()
    return answer
  }
  globalThis.fetch = patched as typeof fetch
}
const log = createLog({ clock: systemClock, level: 'error' })
const bot = await startBot(readBotConfig(), { clock: systemClock, log })
await bot.failed
