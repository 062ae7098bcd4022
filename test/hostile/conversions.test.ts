// Conversions and exports: content that is converted for clients that ask for single bytes or do not read, and exports that start and end without a pause.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { AttackTarget } from './attack.ts'
import { expectHarmless } from './expect-harmless.ts'
import { openTargetWithImage } from './large-image.ts'
import { connectRaw, requestHead } from './requests.ts'

const MIB = 1024 * 1024
const IMAGE_BYTES = 16 * MIB
/** Connections of one attacker that do not read. */
const STALLED = 6
const FORMATS = ['raw', 'qcow2', 'vmdk', 'vhd'] as const

describe('a conversion', () => {
  let target: AttackTarget
  beforeAll(async () => {
    target = await openTargetWithImage(IMAGE_BYTES)
  })
  afterAll(() => target[Symbol.asyncDispose]())

  test('of which single bytes are wanted', async () => {
    await expectHarmless(target, 'content', async ({ url, headers, index }) => {
      for (let i = 0; i < 20; i++) {
        const at = (index * 7919 + i * 611_953) % IMAGE_BYTES
        const response = await fetch(`${url}/v1/images/large/content?as=qcow2`, { headers: headers('viewer', { range: `bytes=${at}-${at}` }) })
        expect(response.status).toBe(206)
        expect((await response.arrayBuffer()).byteLength).toBe(1)
      }
    })
  }, 120_000)

  test('that the client does not read', async () => {
    await expectHarmless(target, 'content', async ({ url, headers, signal }) => {
      using stack = new DisposableStack()
      for (let i = 0; i < STALLED; i++) {
        const connection = stack.use(await connectRaw(url, false))
        await connection.write(requestHead(`GET /v1/images/large/content?as=${FORMATS[i % FORMATS.length]}`, headers('viewer')))
      }
      while (!signal.aborted) await Bun.sleep(50)
    })
  }, 120_000)

  test('that is exported and deleted without a pause', async () => {
    const { diskBytes } = await expectHarmless(target, 'export', async ({ url, headers }) => {
      const started = await fetch(`${url}/v1/images/large/exports`, { method: 'POST', headers: headers('operator'), body: '{}' })
      expect([202, 409, 429]).toContain(started.status)
      const { items } = (await (await fetch(`${url}/v1/exports`, { headers: headers('operator') })).json()) as { items: { id: string }[] }
      for (const { id } of items)
        expect([204, 404, 409]).toContain((await fetch(`${url}/v1/exports/${id}`, { method: 'DELETE', headers: headers('operator') })).status)
    })
    // One image has one export, however many ask.
    expect(diskBytes).toBeLessThan(IMAGE_BYTES + 16 * MIB)
  }, 120_000)
})
