// Sessions of the console, played against a scripted fleet: after each line stands everything that it shows, and the requests that change something or ask for a part.
// SLIPWAY_WRITE_SESSIONS=1 writes what is seen now into the sessions instead: read the difference before you commit it.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, setDefaultTimeout, test } from 'bun:test'
import { openSessionFleet } from './fleet.ts'
import alerts from './lines/alerts.txt'
import approvals from './lines/approvals.txt'
import groups from './lines/groups.txt'
import imageChanges from './lines/image-changes.txt'
import imageCopies from './lines/image-copies.txt'
import imageLists from './lines/image-lists.txt'
import imageRemovals from './lines/image-removals.txt'
import keys from './lines/keys.txt'
import noStore from './lines/no-store.txt'
import oneStore from './lines/one-store.txt'
import policies from './lines/policies.txt'
import roles from './lines/roles.txt'
import schedules from './lines/schedules.txt'
import storeChanges from './lines/store-changes.txt'
import storeRoles from './lines/store-roles.txt'
import storeRemovals from './lines/store-removals.txt'
import stores from './lines/stores.txt'
import tasks from './lines/tasks.txt'
import unclear from './lines/unclear.txt'
import uploads from './lines/uploads.txt'
import zones from './lines/zones.txt'
import { play } from './play.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const SESSIONS = {
  alerts,
  approvals,
  groups,
  'image-changes': imageChanges,
  'image-copies': imageCopies,
  'image-lists': imageLists,
  'image-removals': imageRemovals,
  keys,
  'no-store': noStore,
  'one-store': oneStore,
  policies,
  roles,
  schedules,
  'store-changes': storeChanges,
  'store-roles': storeRoles,
  'store-removals': storeRemovals,
  stores,
  tasks,
  unclear,
  uploads,
  zones,
}

for (const [name, session] of Object.entries(SESSIONS)) {
  test(`${name} reads as in its file`, async () => {
    const stores = /^stores: (?<names>.*)$/m.exec(session)?.groups?.['names'] ?? ''
    using fleet = openSessionFleet(stores.split(' '))
    const seen = `stores: ${stores}\n${await play(fleet, session)}`
    if (process.env['SLIPWAY_WRITE_SESSIONS'] === '1') writeFileSync(join(import.meta.dir, 'lines', `${name}.txt`), seen)
    else expect(seen).toBe(session)
  })
}
