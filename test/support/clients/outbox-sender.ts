// A program that delivers the outbox of a home folder to a Slack: `bun outbox-sender.ts HOME SLACK_API_URL`. Tests kill it.

import { createOutbox } from '../../../bot/outbox/outbox.ts'
import { createDeliveryPort } from '../../../bot/slack/send/delivery-port.ts'
import { createPacing } from '../../../bot/slack/send/pacing.ts'
import { sendOutbox } from '../../../bot/slack/send/send-outbox.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import { openDatabase } from '../../../bot/system/database.ts'
import { createLog } from '../../../bot/system/log.ts'
import { renderMessage } from '../../../bot/views/blocks.ts'

const [home = '', slackApiUrl = ''] = process.argv.slice(2)
const database = openDatabase(home)
sendOutbox({
  database,
  outbox: createOutbox(database, systemClock),
  port: createDeliveryPort('xoxb-fake', { slackApiUrl }),
  pacing: createPacing(systemClock),
  clock: systemClock,
  log: createLog({ clock: systemClock, level: 'error' }),
  render: (view) => renderMessage(view, { nowMs: systemClock.nowMs(), command: '' }),
})
