// Columns and fields that mean the same in every command.

import type { Terms } from './term.ts'

export const SHARED_TERMS: Terms = {
  Store: { means: 'The name with which the store is registered in the bot.' },
  Stores: { means: 'The stores that have it, or how many there are.' },
  Zone: { means: 'The place of the store; zone list shows the zones.' },
  Id: { means: 'The id that the agent gave it. Commands take any unique part of it.' },
  Name: { means: 'The name that people gave it. Commands take it instead of the id.' },
  By: { means: 'Who asked for it: a person of Slack, the console or a token of the agent.' },
  Created: { means: 'When it was created.', unit: 'time in UTC' },
  Started: { means: 'When it began, and who asked for it.', unit: 'time in UTC' },
  Ended: { means: 'When it ended, well or not.', unit: 'time in UTC' },
  Expires: { means: 'When it ends or is removed by itself.', unit: 'time in UTC' },
  'Last used': { means: 'When it was last used to make a request.', unit: 'time in UTC' },
  Time: { means: 'When it happened.', unit: 'time in UTC' },
  Reason: { means: 'Why it failed or was refused, as the agent says it.', action: 'Do what the line Next says, then run the command again.' },
  Next: { means: 'What to do next, as commands of this bot or of the node.', normal: 'Absent, because nothing is wrong.' },
  Request: { means: 'The id of the request, which is also in the log of the agent.', action: 'Search the log for it: journalctl -u slipway-agent@NAME.' },
  Progress: { means: 'How much is done of how much, how fast, and how long the rest takes.', unit: 'bytes or items' },
  Length: { means: 'How long the file is, with the zeros in it.', unit: 'bytes' },
  Description: { means: 'A text for people; the agent does not use it.' },
  State: { means: 'In which state it is now.' },
  Kind: { means: 'What sort of thing it is.' },
  Image: { means: 'The name of the image.' },
  Link: {
    means: 'A signed address that works without a token until it expires. Whoever has it may use it.',
    action: 'Give it only to the person it is for.',
  },
  'Valid until': { means: 'When it ends.', unit: 'time in UTC' },
  'With curl': { means: 'The command line that uses it.' },
  Cron: { means: 'When it runs: minute, hour, day, month, weekday.', unit: 'cron expression' },
  'Next run': { means: 'When it runs the next time.', unit: 'time in UTC' },
  'Last run': { means: 'When it last ran.', unit: 'time in UTC' },
  'Last result': { means: 'How the last run ended.', normal: 'succeeded', action: 'Read the reason: task list state=failed, then task show T.' },
  Space: { means: 'Whether the store has room for it above its reserve.', unit: 'bytes', action: 'Make room with image purge and store cleanup S.' },
}
