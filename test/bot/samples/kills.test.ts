// A process that records samples is killed with SIGKILL while it rolls up an hour, at statement after statement and right after: no minute is lost or counted twice.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { join } from 'node:path'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../bot/samples/keys.ts'
import { addSamples, mergeSamples } from '../../../bot/samples/sample.ts'
import { createSamples, FLEET_SERIES } from '../../../bot/samples/samples.ts'
import { openDatabase } from '../../../bot/system/database.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { MIDNIGHT_MS, minuteOf, SAMPLED_STORES, usedAt } from './fixture.ts'

// Processes on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(120_000)

const PROGRAM = join(import.meta.dir, '../../support/agents/killed-samples-program.ts')
/** Two hours that are over, and a part of the third. */
const MINUTES = 150
/** Statements on blocks at which it is killed: the roll-up of an hour has three for each of four series, then come those that delete old blocks. */
const POINTS = [1, 2, 3, 6, 12, 13, 20, 0, 1, 0]

test('a kill in the roll-up of an hour loses no sample and counts none twice, and the database opens', async () => {
  await using home = await createTemporaryFolder()
  const run = async (point: number) => {
    const child = Bun.spawn([process.execPath, PROGRAM, home.path, String(MINUTES), String(point)], { stdin: 'ignore', stdout: 'ignore', stderr: 'inherit' })
    await child.exited
    return child.signalCode ?? child.exitCode
  }
  const ends: unknown[] = []
  for (const point of [...POINTS, -1]) ends.push(await run(point))
  expect(ends).toEqual([...POINTS.map(() => 'SIGKILL'), 0])

  using database = openDatabase(home.path)
  expect(database.query('PRAGMA integrity_check').all()).toEqual([{ integrity_check: 'ok' }])
  const samples = createSamples(database, () => true)
  const minutes = Array.from({ length: MINUTES }, (_unused, minute) => minute)
  const series = (of: (minute: number) => ReturnType<typeof minuteOf>) => ({
    minutes: minutes.map((minute) => ({ timeMs: MIDNIGHT_MS + minute * MINUTE_MS, sample: of(minute) })),
    hours: [0, 1].map((hour) => ({ timeMs: MIDNIGHT_MS + hour * HOUR_MS, sample: mergeSamples(minutes.slice(hour * 60, hour * 60 + 60).map(of)) })),
  })
  const found = (id: string) => ({
    minutes: samples.minutes(id, MIDNIGHT_MS, MIDNIGHT_MS + DAY_MS),
    hours: samples.hours(id, MIDNIGHT_MS, MIDNIGHT_MS + DAY_MS),
  })
  for (const store of SAMPLED_STORES) expect(found(store)).toEqual(series((minute) => minuteOf(usedAt(store, minute))))
  expect(found(FLEET_SERIES)).toEqual(series((minute) => addSamples(SAMPLED_STORES.map((store) => minuteOf(usedAt(store, minute))))))
})
