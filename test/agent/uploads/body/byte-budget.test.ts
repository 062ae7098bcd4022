// How many bytes are taken before the event loop goes round. The clock is moved by hand.

import { describe, expect, test } from 'bun:test'
import { createByteBudget } from '../../../../agent/uploads/body/byte-budget.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'

const MIB = 1024 * 1024

describe('the byte budget of all bodies', () => {
  test('pauses after many bytes, once for all, and not after few', async () => {
    const clock = createManualClock()
    const byteBudget = createByteBudget(clock)
    expect(byteBudget.spend(2 * MIB - 1)).toBeUndefined()
    const pause = byteBudget.spend(1)
    expect(pause).toBeInstanceOf(Promise)
    expect(byteBudget.spend(64 * 1024)).toBe(pause)
    // No time passes: other work runs, and that is all.
    await pause
    expect(byteBudget.spend(2 * MIB - 1)).toBeUndefined()
    expect(byteBudget.spend(1)).toBeInstanceOf(Promise)
  })
})
