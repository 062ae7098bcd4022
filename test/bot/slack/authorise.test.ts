// Who may press a button and submit a modal; a refused press does not use the button up.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { visibleText } from '../../support/clients/fake-slack/fake-slack.ts'
import { until } from '../../support/until.ts'
import { ADMIN, seen, startSlackBot } from './fixture.ts'

// Processes and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const OPERATOR = { user: 'UOPER' }
const VIEWER = { user: 'UVIEW' }

describe('a press', () => {
  test('that is refused does not use up the button', async () => {
    await using it = await startSlackBot()
    await it.slack.command('/slipway', 'store cleanup edge-a', OPERATOR)
    const card = await seen(it.slack, 'post')
    await it.slack.press(card, 'Cancel', VIEWER)
    expect(visibleText(await seen(it.slack, 'response'))).toContain('needs the role operator')
    await it.slack.press(card, 'Cancel', OPERATOR)
    await until('the task is cancelled', () => [...it.agent.tasks.values()].some(({ state }) => state === 'cancelled'))
  })

  test('of a write is accepted once', async () => {
    await using it = await startSlackBot()
    await it.slack.command('/slipway', 'store cleanup edge-a', OPERATOR)
    const card = await seen(it.slack, 'post')
    await it.slack.press(card, 'Cancel', OPERATOR)
    await it.slack.press(card, 'Cancel', OPERATOR)
    expect(visibleText(await seen(it.slack, 'response'))).toContain('used already')
  })

  test('of a suggested write needs the role of the command before it is spent', async () => {
    await using it = await startSlackBot()
    await it.slack.command('/slipway', 'store cleanp edge-a —share')
    const unclear = await seen(it.slack, 'response')
    const label = 'store cleanup edge-a'
    await it.slack.press(unclear, label, VIEWER)
    expect(visibleText(await seen(it.slack, 'response', 2))).toContain('needs the role operator')
    expect(it.agent.tasks.size).toBe(0)
    await it.slack.press(unclear, label, OPERATOR)
    await seen(it.slack, 'post')
    expect(it.agent.tasks.size).toBe(1)
  })
})

describe('a confirmation', () => {
  const question = (it: Awaited<ReturnType<typeof startSlackBot>>) =>
    until('the question', () => it.slack.shown.find((shown) => shown.kind === 'modal' && visibleText(shown).includes('Type edge-a')))

  test('is accepted only from the person who opened it', async () => {
    await using it = await startSlackBot()
    await it.slack.command('/slipway', 'store delete edge-a', ADMIN)
    const modal = await question(it)
    await it.slack.submit(modal.view ?? {}, { name: 'edge-a' }, OPERATOR)
    expect(visibleText(await seen(it.slack, 'ephemeral'))).toContain('expired')
    expect(it.bot.fleet.registry.find('edge-a')).toBeDefined()
  })

  test('still checks the typed name after a restart of the bot', async () => {
    await using it = await startSlackBot()
    await it.slack.command('/slipway', 'store delete edge-a', ADMIN)
    const modal = await question(it)
    await it.connection[Symbol.asyncDispose]()
    await using _again = await it.connect()
    await until('the bot is connected again', () => it.slack.socketCount === 1)
    const wrong = await it.slack.submit(modal.view ?? {}, { name: 'edge-b' }, ADMIN)
    expect(wrong.body).toMatchObject({ response_action: 'errors' })
    await it.slack.submit(modal.view ?? {}, { name: 'edge-a' }, ADMIN)
    await until('the store is removed', () => it.bot.fleet.registry.find('edge-a') === undefined)
  })
})
