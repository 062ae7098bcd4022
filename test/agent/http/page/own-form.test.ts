// How long a form may be.

import { describe, expect, test } from 'bun:test'
import { readForm } from '../../../../agent/http/page/own-form.ts'
import type { ProblemError } from '../../../../protocol/problems.ts'

const TYPE = 'application/x-www-form-urlencoded'
const post = (body: ReadableStream<Uint8Array>, headers: Record<string, string>): Request => new Request('http://store/', { method: 'POST', headers, body })

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'read',
    (error: ProblemError) => error.code,
  )

describe('a form', () => {
  test.each([
    ['announced', true],
    ['not announced', false],
  ])('has at most 8 KiB, whether its length is %s', async (_how, isAnnounced) => {
    const sent = (length: number): Promise<string> => {
      const bytes = new TextEncoder().encode(`a=${'x'.repeat(length - 2)}`)
      const stream = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(bytes)
          controller.close()
        },
      })
      return codeOf(readForm(post(stream, { 'content-type': TYPE, ...(isAnnounced ? { 'content-length': String(length) } : {}) })))
    }
    expect([await sent(8192), await sent(8193)]).toEqual(['read', 'payload-too-large'])
  })

  test('that announces too much is refused before a byte is read', async () => {
    let isRead = false
    const pull = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
      isRead = true
      controller.close()
    }
    const stream = new ReadableStream<Uint8Array>({ pull }, { highWaterMark: 0 })
    expect(await codeOf(readForm(post(stream, { 'content-type': TYPE, 'content-length': '8193' })))).toBe('payload-too-large')
    expect(isRead).toBe(false)
  })
})
