// Samples: their bytes, and how they merge, against simple models.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { packSlots, unpackSlots } from '../../../bot/samples/pack.ts'
import { addSamples, bounded, MEMBERS, mergeSamples, NO_SAMPLE, VALUE_MAX } from '../../../bot/samples/sample.ts'
import type { Sample } from '../../../bot/samples/sample.ts'
import { propertyOptions } from '../../support/properties.ts'
import { minuteOf } from './fixture.ts'

const value = fc.oneof(fc.nat(), fc.maxSafeNat().map(bounded), fc.constantFrom(0, 1, 127, 128, 4095, 2 ** 32, VALUE_MAX))
const sample: fc.Arbitrary<Sample> = fc.record(Object.fromEntries(MEMBERS.map((member) => [member, value]))) as fc.Arbitrary<never>
const slots = fc
  .uniqueArray(fc.record({ slot: fc.nat(59), sample }), { selector: ({ slot }) => slot, maxLength: 60 })
  .map((all) => all.toSorted((a, b) => a.slot - b.slot))

/** A minute as the sampler makes it: silent, answering without rates, or with them. */
const minute: fc.Arbitrary<Sample> = fc.oneof(
  fc.constantFrom('stopped' as const, 'error' as const).map((state) => ({ ...NO_SAMPLE, [state]: 1 })),
  fc.record({ used: fc.nat(1e9), slices: fc.nat() }).map(({ used, slices }) => minuteOf(used, { slices })),
  fc
    .record({ used: fc.nat(1e9), ingest: fc.nat(1e9), egress: fc.nat(1e9) })
    .map(({ used, ingest, egress }) => minuteOf(used, { rated: 1, ratedSpans: 1, ingest, ingestMax: ingest, egress, egressMax: egress })),
)

const meanOf = (values: readonly number[]): number => (values.length === 0 ? 0 : values.reduce((sum, one) => sum + one, 0) / values.length)

describe('bytes', () => {
  test('of a block give the same samples again', () => {
    fc.assert(
      fc.property(slots, (given) => expect(unpackSlots(packSlots(given))).toEqual(given)),
      propertyOptions(100),
    )
  })

  test('that were cut or changed give whole samples within the bounds, and never an error', () => {
    fc.assert(
      fc.property(slots, fc.uint8Array({ maxLength: 200 }), fc.nat(), (given, noise, at) => {
        const packed = packSlots(given)
        const cut = unpackSlots(packed.subarray(0, at % (packed.length + 1)))
        expect(cut).toEqual(given.slice(0, cut.length))
        for (const { sample: one } of unpackSlots(noise)) for (const member of MEMBERS) expect(one[member]).toBeWithin(0, VALUE_MAX + 1)
      }),
      propertyOptions(100),
    )
  })

  test('of an idle store are few', () => {
    const idle = Array.from({ length: 60 }, (_unused, slot) => ({ slot, sample: minuteOf(1_000_000) }))
    expect(packSlots(idle).length).toBeLessThan(60 * 3)
  })
})

describe('merging', () => {
  test('of minutes gives sums, means, extremes and the end, as a simple model does', () => {
    fc.assert(
      fc.property(fc.array(minute, { minLength: 1, maxLength: 60 }), (minutes) => {
        const merged = mergeSamples(minutes)
        const measured = minutes.filter((one) => one.measured === 1)
        const rated = minutes.filter((one) => one.rated === 1)
        expect(merged.stopped).toBe(minutes.filter((one) => one.stopped === 1).length)
        expect(merged.running + merged.stopped + merged.error).toBe(minutes.length)
        expect([merged.measured, merged.rated]).toEqual([measured.length, rated.length])
        expect(Math.abs(merged.used - meanOf(measured.map(({ used }) => used)))).toBeLessThanOrEqual(1)
        expect(Math.abs(merged.ingest - meanOf(rated.map(({ ingest }) => ingest)))).toBeLessThanOrEqual(1)
        expect(merged.usedMin).toBe(measured.length === 0 ? 0 : Math.min(...measured.map(({ used }) => used)))
        expect(merged.usedMax).toBe(Math.max(0, ...measured.map(({ used }) => used)))
        expect(merged.egressMax).toBe(Math.max(0, ...rated.map(({ egress }) => egress)))
        expect(merged.slices).toBe(measured.at(-1)?.slices ?? 0)
      }),
      propertyOptions(100),
    )
  })

  test('in steps gives what merging at once gives, up to rounding', () => {
    fc.assert(
      fc.property(fc.array(minute, { minLength: 2, maxLength: 60 }), fc.nat(), (minutes, at) => {
        const cut = 1 + (at % (minutes.length - 1))
        const once = mergeSamples(minutes)
        const stepwise = mergeSamples([mergeSamples(minutes.slice(0, cut)), mergeSamples(minutes.slice(cut))])
        for (const member of MEMBERS) expect(Math.abs(once[member] - stepwise[member])).toBeLessThanOrEqual(2)
      }),
      propertyOptions(100),
    )
  })

  test('of stores adds up space and rates, and takes the oldest scrub', () => {
    const fleet = addSamples([
      minuteOf(100, { scrubbed: 50, rated: 1, ratedSpans: 1, ingest: 7, ingestMax: 7 }),
      minuteOf(200, { scrubbed: 40 }),
      { ...NO_SAMPLE, stopped: 1 },
    ])
    expect(fleet).toMatchObject({ running: 2, stopped: 1, measured: 2, spans: 1, rated: 1, ratedSpans: 1, total: 20_000, used: 300, ingest: 7, scrubbed: 40 })
    // The mean of a fleet over two minutes is that of its sums, however many stores were measured.
    expect(mergeSamples([fleet, addSamples([minuteOf(100)])]).used).toBe(200)
  })

  test('stays within the bounds of whole numbers', () => {
    const huge = minuteOf(VALUE_MAX, { total: VALUE_MAX, slices: VALUE_MAX })
    expect(addSamples([huge, huge, huge]).used).toBe(VALUE_MAX)
    expect(mergeSamples([huge, huge, huge]).used).toBe(VALUE_MAX)
    expect([Number.NaN, -1, Number.POSITIVE_INFINITY, 1.9].map(bounded)).toEqual([0, 0, 0, 1])
  })
})
