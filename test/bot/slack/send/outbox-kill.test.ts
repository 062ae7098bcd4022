// The sender of the outbox killed with SIGKILL again and again: no message is lost, and one is doubled only when the kill came between Slack's answer
// and the record of it.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { createOutbox } from '../../../../bot/outbox/outbox.ts'
import { systemClock } from '../../../../bot/system/clock.ts'
import { openDatabase } from '../../../../bot/system/database.ts'
import { makeView } from '../../../../protocol/views/view.ts'
import { createFakeSlack } from '../../../support/clients/fake-slack/fake-slack.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { until } from '../../../support/until.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(120_000)

const SENDER = new URL('../../../support/clients/outbox-sender.ts', import.meta.url).pathname
const CHANNELS = 24
const KILLS = 3

test('a sender that is killed loses no message, and doubles at most the one in flight', async () => {
  await using folder = await createTemporaryFolder()
  await using slack = createFakeSlack()
  using database = openDatabase(folder.path)
  const outbox = createOutbox(database, systemClock)
  const put = (n: number, title: string): void => outbox.put({ key: `m${n}`, channel: `C${n}`, view: makeView({ title, asOfMs: 0, json: null }) })
  const waiting = (): number => database.query<{ n: number }, []>('SELECT count(*) AS n FROM outbox WHERE view IS NOT NULL').get()?.n ?? -1
  for (let n = 0; n < CHANNELS; n++) put(n, `message ${n}`)

  const spawn = () => Bun.spawn([process.execPath, SENDER, folder.path, slack.apiUrl], { stdout: 'ignore', stderr: 'inherit' })
  for (let kill = 1; kill <= KILLS; kill++) {
    const sender = spawn()
    await until('posts', () => slack.shown.length >= kill * 6)
    sender.kill('SIGKILL')
    await sender.exited
  }
  // Edits that are put while nobody sends follow their messages.
  for (let n = 0; n < 8; n++) put(n, `edited ${n}`)
  const last = spawn()
  await until('everything was delivered', () => waiting() === 0)
  last.kill('SIGKILL')
  await last.exited

  const posts = slack.shown.filter(({ kind }) => kind === 'post')
  expect(new Set(posts.map(({ channel }) => channel)).size).toBe(CHANNELS)
  expect(posts.length).toBeLessThanOrEqual(CHANNELS + KILLS)
  for (let n = 0; n < 8; n++) {
    const [lastShown] = slack.shown.filter(({ channel }) => channel === `C${n}`).toReversed()
    expect(lastShown?.text).toBe(`edited ${n}`)
  }
  expect(slack.failures).toEqual([])
})
