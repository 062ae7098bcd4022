// What the bot keeps of alerts in its database, for the service that finds them and for the commands that show and change them.

import type { BotDatabase } from '../system/database.ts'
import { createIncidents } from './incidents.ts'
import type { Incidents } from './incidents.ts'
import { createSilences } from './silences.ts'
import type { Silences } from './silences.ts'
import { createSubscriptions } from './subscriptions.ts'
import type { Subscriptions } from './subscriptions.ts'

export interface Alerts {
  readonly incidents: Incidents
  readonly silences: Silences
  readonly subscriptions: Subscriptions
}

/** Opens the alerts on the bot's database. */
export function openAlerts(database: BotDatabase): Alerts {
  return { incidents: createIncidents(database), silences: createSilences(database), subscriptions: createSubscriptions(database) }
}
