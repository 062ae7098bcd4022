// A test for each session: it is played, and compared with its file.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, setDefaultTimeout, test } from 'bun:test'
import { openSessionFleet } from './fleet.ts'
import { hardStores } from './hard-stores.ts'
import { play } from './play.ts'

/**
 * Defines a test for each session of a folder, by the names of their files without `.txt`. SLIPWAY_WRITE_SESSIONS=1 writes what is seen now into the files
 * instead: read the difference before you commit it.
 */
export function testSessions(folder: string, sessions: Readonly<Record<string, string>>): void {
  // A busy machine takes longer than the 5 s of the runner.
  setDefaultTimeout(60_000)
  for (const [name, session] of Object.entries(sessions)) {
    test(`${name} reads as in its file`, async () => {
      const stores = /^stores: (?<names>.*)$/m.exec(session)?.groups?.['names'] ?? ''
      using fleet = openSessionFleet(stores.split(' '), hardStores())
      const seen = `stores: ${stores}\n${await play(fleet, session)}`
      if (process.env['SLIPWAY_WRITE_SESSIONS'] === '1') writeFileSync(join(folder, `${name}.txt`), seen)
      else expect(seen).toBe(session)
    })
  }
}
