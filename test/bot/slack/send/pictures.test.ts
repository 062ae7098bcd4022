// Pictures of charts in Slack: who gets them, what they say without being seen, and what an answer says when there are none.

import { describe, expect, test } from 'bun:test'
import type { FakeSlackOptions } from '../../../support/clients/fake-slack/fake-slack.ts'
import { visibleText } from '../../../support/clients/fake-slack/shown.ts'
import { minuteOf } from '../../samples/fixture.ts'
import { ADMIN, seen, startSlackBot } from '../fixture.ts'

/** A bot with ten minutes of samples of its store, which end now. */
async function start(options: FakeSlackOptions = {}) {
  const it = await startSlackBot(options)
  const nowMs = Date.now()
  for (let minute = 10; minute > 0; minute--)
    it.bot.samples.record(new Map([[it.agent.store.id, minuteOf(1_000_000, { total: 3_000_000 })]]), nowMs - minute * 60_000)
  const ask = async (line: string, person: { user: string; channel?: string } = ADMIN): Promise<string> => {
    const before = it.slack.shown.filter(({ kind }) => kind === 'response').length
    await it.slack.command('/slipway', line, person)
    return visibleText(await seen(it.slack, 'response', before + 1))
  }
  return { ...it, ask }
}

describe('charts in Slack', () => {
  test('come with their picture as a direct message, which says what it shows', async () => {
    await using it = await start()
    const answer = await it.ask('store show edge-a --chart=used', { user: 'UADMIN', channel: 'C1' })
    expect(answer).toContain('Slipway sent you 1 picture as a direct message.')
    expect(answer).toContain('Used')
    expect(it.slack.files).toHaveLength(1)
    const [file] = it.slack.files
    expect(file).toMatchObject({ channel: 'DUADMIN', title: 'Used space', comment: '' })
    expect(file?.altText).toMatch(/^Used space\. Used: 4\.1 GB\. Capacity: 12 GB\.$/)
    expect(Buffer.from(file?.bytes.subarray(1, 4) ?? []).toString()).toBe('PNG')
    expect(it.slack.shown.filter(({ kind }) => kind === 'post')).toMatchObject([{ channel: 'UADMIN', text: 'edge-a: the last 2 d' }])
    expect(it.slack.failures).toEqual([])
  })

  test('of all kinds are several pictures; with --share the channel gets them', async () => {
    await using it = await start()
    expect(await it.ask('store show edge-a --chart --share', { user: 'UADMIN', channel: 'C1' })).toContain('The pictures are in this channel.')
    expect(it.slack.files.map(({ channel, comment, title }) => [channel, comment, title])).toEqual(
      ['Used space', 'Images and what their slices take', 'Content in and out', 'Slices', 'Age of the last scrub, which reads every slice', 'Health'].map(
        (title) => ['C1', 'edge-a: the last 2 d', title],
      ),
    )
    expect(it.slack.failures).toEqual([])
  })

  test('of a channel where the bot may not post go to the person', async () => {
    await using it = await start({ closedChannels: ['C9'] })
    expect(await it.ask('store show edge-a --chart=used --share', { user: 'UADMIN', channel: 'C9' })).toContain('1 picture as a direct message')
    expect(it.slack.files.map(({ channel }) => channel)).toEqual(['DUADMIN'])
  })

  test('say without the scope files:write what to do, and send no message', async () => {
    await using it = await start({ scopes: ['commands', 'chat:write', 'usergroups:read'] })
    const answer = await it.ask('store show edge-a --chart=used')
    expect(answer).toContain('There is no picture, because the Slack app lacks the scope files:write.')
    expect(answer).toContain('4.1 GB')
    expect([it.slack.files, it.slack.shown.filter(({ kind }) => kind === 'post')]).toEqual([[], []])
  })

  test('send no file for JSON, and none without samples', async () => {
    await using it = await start()
    await it.ask('store show edge-a --chart --json')
    expect(await it.ask('store show edge-a --chart period=400d')).toContain('as a direct message')
    expect(it.slack.calls.filter((method) => method === 'files.completeUploadExternal')).toHaveLength(1)
  })
})
