// Tokens and grants of stores: what is refused, what is shown of one, and that a refusal of the agent is told.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { openScriptedFleet, page, refuse } from '../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const tokenOf = (id: string, members: object = {}): object => ({
  ...{ id, name: id, role: 'viewer', subject: null, groups: [], grant: null, createdAt: '2025-12-01T00:00:00.000Z', expiresAt: null, lastUsedAt: null },
  ...members,
})
const grantOf = (id: string, images: readonly string[]): object => tokenOf(id, { grant: { images, target: null, createdBy: 'ann' } })
const openWith = (tokens: readonly object[]) => openScriptedFleet({ 'edge-a': { 'GET /tokens': page(tokens) } })

describe('token list', () => {
  test('has tokens until the moment in which they expire', async () => {
    using it = openWith([tokenOf('tok_past', { expiresAt: '2026-01-01T00:00:00.000Z' }), tokenOf('tok_next', { expiresAt: '2026-01-01T00:00:00.001Z' })])
    const view = await it.run('token list')
    expect([view.text, view.columns.length > 0, view.rows.length]).toEqual(['1 token', true, 1])
  })
})

describe('a refusal', () => {
  test('of a duration that is none', async () => {
    using it = openWith([])
    expect((await it.run('token create name=ci role=viewer for=soon')).text).toBe('for=soon is not a duration.')
  })

  test('of a fleet without stores', async () => {
    using it = openScriptedFleet({})
    expect((await it.run('token revoke ci')).text).toBe('No store is registered.')
  })

  test.each(['token revoke tok_one', 'grant revoke tok_two'])('by the agent: %s', async (line) => {
    const refusal = refuse('conflict', 'It is in use.')
    const tokens = page([tokenOf('tok_one'), grantOf('tok_two', ['img_1'])])
    using it = openScriptedFleet({ 'edge-a': { 'GET /tokens': tokens, 'DELETE /tokens/tok_one': refusal, 'DELETE /tokens/tok_two': refusal } })
    expect(await it.run(line)).toMatchObject({ outcome: 'failed', text: 'It is in use.' })
  })
})

test.each(['token revoke tok_one', 'grant revoke tok_two'])('%s says in JSON that it is revoked', async (line) => {
  const gone = () => new Response(null, { status: 204 })
  const tokens = page([tokenOf('tok_one'), grantOf('tok_two', ['img_1'])])
  using it = openScriptedFleet({ 'edge-a': { 'GET /tokens': tokens, 'DELETE /tokens/tok_one': gone, 'DELETE /tokens/tok_two': gone } })
  expect((await it.run(line)).json).toMatchObject({ store: 'edge-a', revoked: true })
})

test('grant list names two images and counts more', async () => {
  using it = openWith([grantOf('tok_one', ['img_1']), grantOf('tok_two', ['img_1', 'img_2']), grantOf('tok_six', ['img_1', 'img_2', 'img_3'])])
  const images = (await it.run('grant list')).rows.map(({ cells }) => cells['images'])
  expect(new Set(images)).toEqual(new Set(['3 images', 'img_1', 'img_1, img_2']))
})
