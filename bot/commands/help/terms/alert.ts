// What the commands of alerts show.

import type { Terms } from './term.ts'

export const ALERT_TERMS: Terms = {
  Alert: { means: 'The number of the alert, which alert show and alert ack take.' },
  Severity: {
    means: 'critical: images cannot be read or stored, or data is damaged. warning: they soon cannot. info: it passes by itself. The highest since it opened.',
    action: 'Do what the line Next says, the critical ones first.',
  },
  What: { means: 'The store or zone, and what is wrong with it.' },
  'show What': { means: 'What happened to the alert, in words.' },
  'silences What': { means: 'The store, the zone, or the one check of a store that is silenced.' },
  Since: { means: 'Since when the finding has been there.', unit: 'time in UTC' },
  State: {
    means: 'Open, acknowledged by somebody, or resolved; how often the finding came back; and whether it is silenced or its store is in maintenance.',
    action: 'Run alert ack A when you take care of it.',
  },
  Finding: { means: 'What was found, as the agent or the bot measured it last.' },
  Impact: { means: 'What it means for users.' },
  Meaning: { means: 'What every alert of this kind means.' },
  'subscriptions What': { means: 'Which alerts the channel gets: of which stores, and how severe at least.' },
  Channel: { means: 'The id of the channel of Slack.' },
  Threads: { means: 'Whether what happens to an alert goes into the thread of its card, or into the channel.' },
  Reminders: { means: 'How often the channel is told what is open and not acknowledged.', action: 'Change it with alert subscribe remind=4h, or remind=off.' },
  Silence: { means: 'The number of the silence, which alert unsilence takes.' },
  Until: { means: 'When the silence ends by itself.', unit: 'time in UTC' },
  Reason: { means: 'Why it was silenced, as its author wrote it.' },
}
