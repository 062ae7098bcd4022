// How many bytes are taken before the event loop goes round. The clock is moved by hand.

import { describe, expect, test } from 'bun:test'
import { createByteBudget } from '../../../../agent/uploads/body/byte-budget.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'

const MIB = 1024 * 1024

describe('the byte budget of all bodies', () => {
  test('pauses after many bytes, once for all, and not after few', async () => {
    const clock = createManualClock()
    const byteBudget = createByteBudget(clock)
    expect(byteBudget.spend(MIB)).toBeUndefined()
    const pause = byteBudget.spend(MIB)
    expect(pause).toBeInstanceOf(Promise)
    expect(byteBudget.spend(64 * 1024)).toBe(pause)
    clock.advance(1)
    await pause
    expect(byteBudget.spend(MIB)).toBeUndefined()
  })
})
