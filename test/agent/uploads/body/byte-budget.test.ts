// How many bytes are taken before the event loop goes round. The clock is moved by hand.

import { describe, expect, test } from 'bun:test'
import { createBreath } from '../../../../agent/uploads/body/byte-budget.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'

const MIB = 1024 * 1024

describe('the breath of all bodies', () => {
  test('pauses after many bytes, once for all, and not after few', async () => {
    const clock = createManualClock()
    const breath = createBreath(clock)
    expect(breath.spend(MIB)).toBeUndefined()
    const pause = breath.spend(MIB)
    expect(pause).toBeInstanceOf(Promise)
    expect(breath.spend(64 * 1024)).toBe(pause)
    clock.advance(1)
    await pause
    expect(breath.spend(MIB)).toBeUndefined()
  })
})
