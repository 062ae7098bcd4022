// Media groups at their bounds: as many settings as a store keeps, in a file as long as it may be, changed and listed without a pause.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodeGroupFile } from '../../agent/images/groups/group-file.ts'
import { openTarget } from './attack.ts'
import type { Attacker, AttackTarget } from './attack.ts'
import { expectHarmless } from './expect-harmless.ts'

const MIB = 1024 * 1024
/** With these descriptions, 1000 groups have 2,071,640 bytes of the 2 MiB that the file may have. */
const DESCRIPTION = 'd'.repeat(2000)

describe('media groups', () => {
  let target: AttackTarget
  const file = (): string => join(target.agent.folder, 'store', 'media-groups.json')

  beforeAll(async () => {
    target = await openTarget()
    const records = Array.from({ length: 1000 }, (_, i) => ({
      name: `group-${String(i).padStart(4, '0')}`,
      description: DESCRIPTION,
      visible: i % 2 === 0,
      formerNames: [],
    }))
    writeFileSync(file(), await encodeGroupFile({ records, othersHidden: false }))
    expect(statSync(file()).size).toBe(2_071_640)
    await target.agent.restart()
  }, 60_000)
  afterAll(() => target[Symbol.asyncDispose]())

  const send = async ({ url, headers }: Attacker, method: string, path: string, body: unknown): Promise<number> => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: headers('operator', { 'content-type': 'application/json' }),
      body: JSON.stringify(body),
    })
    await response.arrayBuffer()
    return response.status
  }

  test('that are changed without a pause at both limits', async () => {
    const report = await expectHarmless(target, 'write', async (attacker) => {
      const name = `/v1/media-groups/group-000${attacker.index}`
      expect(await send(attacker, 'POST', '/v1/media-groups', { name: `more-${attacker.index}` })).toBe(429)
      expect(await send(attacker, 'PATCH', name, { visible: false })).toBe(200)
      // Each of them has room for 2 KiB more, and not all eight and twelve others together.
      for (let i = 0; i < 12; i++) {
        const longer = `/v1/media-groups/group-01${String(attacker.index * 12 + i).padStart(2, '0')}`
        expect([200, 429]).toContain(await send(attacker, 'PATCH', longer, { description: 'x'.repeat(4096) }))
      }
      expect(await send(attacker, 'PATCH', name, { description: 'x'.repeat(4097) })).toBe(400)
      expect(await send(attacker, 'DELETE', '/v1/media-groups/none', undefined)).toBe(404)
    })
    expect(report.diskBytes).toBeLessThan(64 * MIB)
    const { size } = statSync(file())
    expect([size > 2_071_640, size <= 2_097_152]).toEqual([true, true])
    expect((await target.agent.client.mediaGroups.list({ limit: 1000 })).items).toHaveLength(1000)
  })

  test('that are listed without a pause, by names that are not names', async () => {
    await expectHarmless(target, 'list', async ({ url, headers }) => {
      for (const query of ['limit=1000', 'limit=1000&cursor=group-0500', `cursor=${'x'.repeat(512)}`, 'cursor=%00']) {
        const response = await fetch(`${url}/v1/media-groups?${query}`, { headers: headers('viewer') })
        expect(response.status).toBe(200)
        await response.arrayBuffer()
      }
    })
  })
})
