// JSON bodies and lists at their limits of length, depth and time.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createConnection } from 'node:net'
import { expectHarmless } from './expect-harmless.ts'
import { openTarget } from './attack.ts'
import type { Attacker, AttackTarget } from './attack.ts'

const MIB = 1024 * 1024

describe('JSON bodies', () => {
  let target: AttackTarget
  beforeAll(async () => {
    target = await openTarget()
  })
  afterAll(() => target[Symbol.asyncDispose]())

  const send = async (attacker: Attacker, path: string, body: string): Promise<number> => {
    const response = await fetch(attacker.url + path, { method: 'POST', headers: attacker.headers('operator', { 'content-type': 'application/json' }), body })
    await response.arrayBuffer()
    return response.status
  }
  const bodies: Record<string, string> = {
    'nested as deeply as their length allows': '['.repeat(MIB),
    'with the most members that fit': `{${Array.from({ length: 80_000 }, (_, i) => `"m${i}":0`).join(',')}}`,
    'that are one long string': `"${'\\u0041'.repeat(MIB / 6 - 1)}"`,
    'with the most digests that fit': JSON.stringify({ digests: Array.from({ length: 14_000 }, (_, i) => `sha256:${i.toString(16).padStart(64, '0')}`) }),
  }
  for (const [name, body] of Object.entries(bodies)) {
    test(`${name} are refused and cost little`, async () => {
      await expectHarmless(target, 'write', async (attacker) => {
        for (const path of ['/v1/sync', '/v1/slices/missing', '/v1/links']) expect([400, 413, 429]).toContain(await send(attacker, path, body))
      })
    })
  }

  test('over the limit are refused before they are read', async () => {
    const report = await expectHarmless(target, 'write', async ({ url, headers }) => {
      const status = await new Promise<number>((resolve) => {
        const { hostname, port } = new URL(url)
        const socket = createConnection({ host: hostname, port: Number(port) })
        const lines = Object.entries(headers('operator')).map(([name, value]) => `${name}: ${value}\r\n`)
        socket.on('error', () => resolve(0))
        socket.on('data', (piece) => {
          resolve(Number(piece.toString('latin1').split(' ')[1]))
          socket.destroy()
        })
        socket.write(`POST /v1/sync HTTP/1.1\r\nHost: x\r\n${lines.join('')}Content-Length: ${100 * MIB}\r\n\r\n`)
      })
      expect(status).toBe(413)
    })
    expect(report.diskBytes).toBeLessThan(64 * MIB)
  })
})

describe('lists', () => {
  let target: AttackTarget
  beforeAll(async () => {
    target = await openTarget()
    // The number of tasks and events that a script creates in a minute.
    for (let i = 0; i < 300; i++) await target.agent.client.schedules.run('expire')
  })
  afterAll(() => target[Symbol.asyncDispose]())

  test('of the longest pages, repeatedly', async () => {
    await expectHarmless(target, 'list', async ({ url, headers }) => {
      for (const path of ['/v1/tasks', '/v1/events', '/v1/images', '/v1/files', '/v1/files?path=images']) {
        const response = await fetch(`${url}${path}${path.includes('?') ? '&' : '?'}limit=1000`, { headers: headers('operator') })
        expect(response.status).toBe(200)
        await response.arrayBuffer()
      }
    })
  })

  test('with cursors that are not cursors', async () => {
    await expectHarmless(target, 'list', async ({ url, headers }) => {
      for (const cursor of ['x'.repeat(4000), '%00', '-1', '99999999999999999999', "' OR 1=1 --"]) {
        for (const path of ['/v1/tasks', '/v1/events', '/v1/images', '/v1/files']) {
          const response = await fetch(`${url}${path}?cursor=${encodeURIComponent(cursor)}`, { headers: headers('viewer') })
          expect(response.status).toBeLessThan(500)
          await response.arrayBuffer()
        }
      }
    })
  })
})
