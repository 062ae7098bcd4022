// The bot's service with alerts in a hurry: its argument is the interval between two observations in milliseconds. Everything else is as in bot/main.ts serve.

import { readBotConfig } from '../../../bot/config.ts'
import { startBot } from '../../../bot/serve.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import { createLog } from '../../../bot/system/log.ts'

const log = createLog({ clock: systemClock, level: 'info' })
const bot = await startBot(readBotConfig(), { clock: systemClock, log, observeMs: Number(process.argv[2]) })
await bot.failed
