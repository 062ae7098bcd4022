// Requests without a token, from any client on the network.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { expectHarmless } from './expect-harmless.ts'
import { openTarget } from './attack.ts'
import type { AttackTarget } from './attack.ts'

describe('without a token', () => {
  let target: AttackTarget
  beforeAll(async () => {
    target = await openTarget()
  })
  afterAll(() => target[Symbol.asyncDispose]())

  test('health requests without a pause', async () => {
    await expectHarmless(target, 'public', async ({ url }) => {
      for (let i = 0; i < 50; i++) await (await fetch(`${url}/v1/health`)).arrayBuffer()
    })
  })

  test('forms of the page with guessed tokens, and forms that are too long', async () => {
    await expectHarmless(target, 'public', async ({ url, index }) => {
      for (let i = 0; i < 20; i++) {
        const body = i === 19 ? `token=${'x'.repeat(256 * 1024)}` : `token=slp_${index}_${i}_${'x'.repeat(1900)}`
        const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'text/html' }
        try {
          const response = await fetch(`${url}/page/enter`, { method: 'POST', headers, body, redirect: 'manual' })
          expect([401, 413, 429]).toContain(response.status)
          await response.arrayBuffer()
        } catch (error) {
          // A refusal may close the connection while the body is still being sent.
          expect(String(error)).toMatch(/closed|reset|ECONNRESET|EPIPE/i)
        }
      }
    })
  })

  test('guessed tokens and links', async () => {
    await expectHarmless(target, 'public', async ({ url, index }) => {
      for (let i = 0; i < 20; i++) {
        const guess = `slipway_${index}_${i}_${'x'.repeat(1900)}`
        const byToken = await fetch(`${url}/v1/images`, { headers: { authorization: `Bearer ${guess}` } })
        expect(byToken.status).toBe(401)
        await byToken.arrayBuffer()
        const byLink = await fetch(`${url}/v1/images/img_x/content?link=${guess}`)
        expect([401, 403, 404]).toContain(byLink.status)
        await byLink.arrayBuffer()
      }
    })
  })

  test('bodies for every upload address', async () => {
    const body = new Uint8Array(256 * 1024)
    const report = await expectHarmless(target, 'public', async ({ url }) => {
      for (const [method, override] of [
        ['POST', ''],
        ['POST', 'PATCH'],
        ['PATCH', ''],
        ['OPTIONS', 'POST'],
        ['OPTIONS', 'PATCH'],
      ] as const) {
        for (const path of ['/v1/uploads', '/v1/uploads/upl_01m7yhh91ya0weh8ee92b9mcj7']) {
          try {
            const response = await fetch(url + path, {
              method,
              headers: {
                'tus-resumable': '1.0.0',
                'upload-length': '262144',
                'x-http-method-override': override,
                'content-type': 'application/offset+octet-stream',
              },
              body,
            })
            expect(response.status).not.toBe(201)
            await response.arrayBuffer()
          } catch (error) {
            // A refusal may close the connection while the body is still being sent.
            expect(String(error)).toMatch(/closed|reset|ECONNRESET|EPIPE/i)
          }
        }
      }
    })
    expect(report.diskBytes).toBeLessThan(64 * 1024 * 1024)
    expect((await target.agent.client.images.list()).items.every(({ name }) => name === 'honest')).toBe(true)
  })
})
