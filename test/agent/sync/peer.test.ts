// Retries of requests to another store: how often, how long it waits between them, and what ends them.

import { expect, test } from 'bun:test'
import { retrying, waitMs } from '../../../agent/sync/peer.ts'
import { makeProblem, problem, ProblemError } from '../../../protocol/problems.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'

const URL_A = 'http://10.0.0.1:8420'
const unreachable = (): Error => problem('peer-unreachable', `${URL_A} cannot be reached.`)
const busy = (retryAfter: string): ProblemError =>
  new ProblemError(makeProblem('limit-reached', 'Later.'), { headers: { 'retry-after': retryAfter }, isFromPeer: true })

test.each([
  [1, undefined, 500],
  [2, undefined, 1000],
  [5, undefined, 8000],
  [6, undefined, 10_000],
  [40, undefined, 10_000],
  [1, '0', 500],
  [1, '3', 3000],
  [4, '3', 4000],
  [1, '10', 10_000],
  [1, '3600', 10_000],
  [1, 'Fri, 31 Dec 1999 23:59:59 GMT', 500],
])('after %p failures in a row, the last with Retry-After %p, it waits %p ms', (failures, retryAfter, ms) => {
  expect(waitMs(failures, retryAfter === undefined ? unreachable() : busy(retryAfter))).toBe(ms)
})

/** Runs with waits that pass at once; returns how long they were together, and how often it was tried. */
async function run(outcomes: readonly (Error | string)[], attemptsMax?: number) {
  const clock = createManualClock()
  let tries = 0
  const result = retrying({ clock, signal: new AbortController().signal, url: URL_A, ...(attemptsMax === undefined ? {} : { attemptsMax }) }, async () => {
    const outcome = outcomes[Math.min(tries++, outcomes.length - 1)]
    if (typeof outcome !== 'string') throw outcome
    return outcome
  })
  let isEnded = false
  const end = result.catch((error: unknown) => error).finally(() => (isEnded = true))
  for (;;) {
    await Promise.race([clock.untilSleeping(1), end])
    if (isEnded) break
    clock.advance(10_000)
  }
  return { tries, outcome: await end }
}

test('a store that cannot be reached is tried eight times, or as often as wanted', async () => {
  const whole = await run([unreachable()])
  expect([whole.tries, whole.outcome]).toMatchObject([8, { code: 'peer-unreachable' }])
  expect((await run([unreachable()], 1)).tries).toBe(1)
  expect((await run([unreachable()], 3)).tries).toBe(3)
})

test('what succeeds in between is returned, and a refusal is not repeated', async () => {
  expect(await run([unreachable(), busy('1'), 'done'])).toEqual({ tries: 3, outcome: 'done' })
  expect(await run([new ProblemError(makeProblem('forbidden', 'No.'), { isFromPeer: true })])).toMatchObject({ tries: 1, outcome: { code: 'peer-refused' } })
})

test('a stop ends the wait, and the next try does not begin', async () => {
  const clock = createManualClock()
  const stop = new AbortController()
  let tries = 0
  const end = retrying({ clock, signal: stop.signal, url: URL_A }, () => {
    tries++
    return Promise.reject(unreachable())
  }).catch((error: unknown) => error)
  await clock.untilSleeping(1)
  stop.abort(new Error('the agent stops'))
  expect([tries, await end]).toMatchObject([1, { message: 'the agent stops' }])
})
