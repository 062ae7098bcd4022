// The pace of answers at its bounds: when a silence is one, and what rate is enough.

import { describe, expect, test } from 'bun:test'
import { readAnswer } from '../../../protocol/client/answer-body.ts'

/** A body whose pieces a test gives, and timeouts that it lets run out. */
function controlled() {
  const looks: AbortController[] = []
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined
  const body = new ReadableStream<Uint8Array>({ start: (given) => void (controller = given) }, { highWaterMark: 0 })
  let isEnded = false
  const pieces = readAnswer(body, {
    pace: { stallTimeoutMs: 9000 },
    timeout: () => {
      const look = new AbortController()
      looks.push(look)
      return look.signal
    },
    now: () => 0,
    end: () => {
      isEnded = true
      controller?.error(new Error('ended'))
    },
  })
  return { pieces, give: () => controller?.enqueue(new Uint8Array(1)), look: () => looks.at(-1)?.abort(), isEnded: () => isEnded }
}

describe('silence', () => {
  test('of one piece between two looks at a waiting reader is none', async () => {
    const { pieces, give, look, isEnded } = controlled()
    const first = pieces.next()
    give()
    await first
    const second = pieces.next()
    look()
    give()
    await second
    const third = pieces.next()
    look()
    expect(isEnded()).toBe(false)
    look()
    expect(isEnded()).toBe(true)
    await expect(third).rejects.toThrow('fell silent for 9 s')
  })
})

describe('the rate', () => {
  /** Reads pieces of some bytes, each after some milliseconds, at 1000 bytes a second over 10 s and 25 s in all. */
  async function read(pieces: readonly (readonly [bytes: number, ms: number])[]): Promise<string> {
    let nowMs = 0
    async function* body(): AsyncGenerator<Uint8Array> {
      for (const [bytes, ms] of pieces) {
        nowMs += ms
        yield new Uint8Array(bytes)
      }
    }
    const pace = { stallTimeoutMs: 9000, bytesPerSecondMin: 1000, rateWindowMs: 10_000, totalMsMax: 25_000 }
    const answer = readAnswer(body(), { pace, timeout: () => new AbortController().signal, now: () => nowMs, end: () => {} })
    try {
      await Array.fromAsync(answer)
      return 'whole'
    } catch (error) {
      return String(error)
    }
  }
  const TOO_SLOW = 'AnswerTooSlow: sent less than 1000 bytes per second'

  test.each([
    ['nothing within less than a window', [[0, 9_999]], 'whole'],
    ['the least bytes in a window', [[10_000, 10_000]], 'whole'],
    ['one byte less', [[9_999, 10_000]], TOO_SLOW],
    [
      'a window after a fast one',
      [
        [50_000, 10_000],
        [9_999, 10_000],
      ],
      TOO_SLOW,
    ],
    ['all the time there is', [[25_000, 25_000]], 'whole'],
    ['more time than there is', [[99_000, 25_001]], 'AnswerTooSlow: did not finish its answer within 25 s'],
  ] as const)('%s', async (_what, pieces, outcome) => {
    expect(await read(pieces)).toBe(outcome)
  })
})
