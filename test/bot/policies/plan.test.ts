// The plan of a sync policy: examples, and the properties that hold for every fleet.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import fc from 'fast-check'
import type { FleetFacts } from '../../../bot/policies/facts.ts'
import { COPIES_PER_RUN_MAX, FINDINGS_MAX, planPolicy } from '../../../bot/policies/plan.ts'
import type { PlanOrder, PolicyPlan } from '../../../bot/policies/plan.ts'
import { governs } from '../../../bot/policies/policy.ts'
import type { PolicyTerms } from '../../../bot/policies/policy.ts'
import { propertyOptions } from '../../support/properties.ts'
import { applied, fleet, image, NOW_MS, policy, silentStore, store } from './fleet.ts'

// Longer runs with SLIPWAY_RUNS take longer than the 5 s of the runner.
setDefaultTimeout(120_000)

const HOUR_MS = 3_600_000

function plan(facts: FleetFacts, more: Partial<PlanOrder> = {}): PolicyPlan {
  return planPolicy({ policy: policy(), facts, coming: [], others: [], removes: false, ...more })
}

/** `a: hub > edge-b` for each copy, `a: - edge-b` for each removal. */
function actions({ copies, removals }: PolicyPlan): string[] {
  return [
    ...copies.map(({ name, sources, target }) => `${name}: ${sources[0]?.store} > ${target}`),
    ...removals.map(({ name, store: from }) => `${name}: - ${from}`),
  ]
}

describe('keep', () => {
  test('copies to the stores of the zone that have most space above the reserve', () => {
    const facts = fleet(
      store('hub', [image('a')], { zone: 'zone-2' }),
      store('edge-a', [], { availableBytes: 300 }),
      store('edge-b', [], { availableBytes: 500 }),
      store('edge-c', [], { availableBytes: 400 }),
    )
    expect(actions(plan(facts))).toEqual(['a: hub > edge-b', 'a: hub > edge-c'])
    expect(plan(facts).findings).toEqual([])
  })

  test('gives the space of a store away once', () => {
    const facts = fleet(store('hub', [image('a'), image('b'), image('c')], { zone: 'zone-2' }), store('edge-a', [], { availableBytes: 250 }))
    const one = plan(facts, { policy: policy({ rule: { kind: 'keep', copies: 1 } }) })
    expect(actions(one)).toEqual(['a: hub > edge-a', 'b: hub > edge-a'])
    expect(one.findings).toEqual([
      {
        kind: 'unmet',
        subject: 'c',
        text: '1 of 1 copies of c cannot be made: edge-a has 50 B above its reserve, and the copy needs up to 100 B.',
        action: 'Make room, or repair or enable a store of zone zone-1; store health says more.',
      },
    ])
  })

  test('prefers a source of the same zone', () => {
    const facts = fleet(store('a-far', [image('a')], { zone: 'zone-2' }), store('near', [image('a')]), store('edge-a'))
    expect(actions(plan(facts))).toEqual(['a: near > edge-a'])
    expect(plan(facts).copies[0]?.sources.map((source) => source.store)).toEqual(['near', 'a-far'])
  })

  test('counts images with the same digest as one, whatever their ids and names are', () => {
    const facts = fleet(store('edge-a', [image('a')]), store('edge-b', [image('b', { digest: 'sha256:a', manifestDigest: 'cut otherwise' })]))
    expect(plan(facts)).toMatchObject({ copies: [], findings: [], images: 1 })
  })

  test('knows an image without a digest by its manifest', () => {
    const facts = fleet(store('edge-a', [image('a', { digest: null })]), store('edge-b', [image('a')]))
    expect(plan(facts)).toMatchObject({ copies: [], images: 1 })
  })

  test('neither counts nor fills a store in error, and sends nothing where images are off or the store is disabled', () => {
    const facts = fleet(
      store('edge-a', [image('a')]),
      store('edge-b', [image('a')], { state: 'error', images: null, trouble: 'is in error: mount-path' }),
      store('edge-c', [], { hasImagesOn: false }),
      store('edge-d', [], { isEnabled: false }),
      store('edge-e'),
    )
    expect(actions(plan(facts))).toEqual(['a: edge-a > edge-e'])
    const three = plan(facts, { policy: policy({ rule: { kind: 'keep', copies: 3 } }) })
    expect(actions(three)).toEqual(['a: edge-a > edge-e'])
    expect(three.findings[0]).toMatchObject({ kind: 'unmet', subject: 'a' })
    for (const word of ['edge-b is in error', 'edge-c takes no images', 'edge-d is disabled']) expect(three.findings[0]?.text).toContain(word)
  })

  test('sends no image to a store that does not take its kind, and repairs the one that is there', () => {
    const facts = fleet(store('edge-a', [image('a', { kind: 'disk' })]), store('edge-b', [], { acceptedKinds: ['iso', 'template'] }))
    expect(actions(plan(facts))).toEqual([])
    expect(plan(facts).findings[0]?.text).toContain('edge-b takes only images of the kinds iso, template')
    const taken = fleet(store('edge-a', [image('a', { kind: 'iso' })]), store('edge-b', [], { acceptedKinds: ['iso', 'template'] }))
    expect(actions(plan(taken))).toEqual(['a: edge-a > edge-b'])
    const damaged = image('a', { kind: 'disk', status: 'degraded' })
    const there = fleet(store('edge-a', [image('a', { kind: 'disk' })]), store('edge-b', [damaged], { acceptedKinds: ['iso'] }))
    expect(plan(there).copies).toMatchObject([{ target: 'edge-b', why: 'repair' }])
  })

  test('reads from a store that is disabled or has images off', () => {
    expect(actions(plan(fleet(store('edge-a', [image('a')], { isEnabled: false, hasImagesOn: false }), store('edge-b'))))).toEqual(['a: edge-a > edge-b'])
  })

  test('repairs a damaged copy before it makes a new one', () => {
    const damaged = image('a', { status: 'degraded' })
    const facts = fleet(store('edge-a', [image('a')]), store('edge-b', [damaged], { availableBytes: 200 }), store('edge-c'))
    expect(plan(facts).copies).toMatchObject([{ name: 'a', target: 'edge-b', why: 'repair', bytes: 100 }])
  })

  test('says so when every copy is damaged', () => {
    const { copies, findings } = plan(fleet(store('edge-a', [image('a', { status: 'degraded' })]), store('edge-b')))
    expect(copies).toEqual([])
    expect(findings).toMatchObject([{ kind: 'unmet', text: 'a has no undamaged copy, only a damaged one in edge-a.' }])
  })

  test('does not copy over other bytes with the same id, or into an image that is being removed', () => {
    const other = image('a', { digest: 'sha256:other', manifestDigest: 'other' })
    const facts = fleet(store('edge-a', [image('a')]), store('edge-b', [other]), store('edge-c', [image('a', { status: 'deleting' })]))
    expect(plan(facts, { policy: policy({ labels: [] }) }).findings[0]?.text).toBe(
      '1 of 2 copies of a cannot be made: edge-b has other bytes under the id img_a; the image is deleting in edge-c.',
    )
  })

  test('a zone with too few stores is named', () => {
    const { findings } = plan(fleet(store('edge-a', [image('a')])))
    expect(findings).toMatchObject([{ kind: 'unmet', text: '1 of 2 copies of a cannot be made: zone zone-1 has only 1 stores.' }])
    expect(plan(fleet(store('hub', [image('a')], { zone: 'zone-2' }))).findings).toMatchObject([{ kind: 'unmet', subject: 'zone zone-1' }])
  })

  test('is about images with the labels and kinds only, and never about virtual disks unless they are named', () => {
    const images = [
      image('a', { labels: { env: 'production', team: 'x' } }),
      image('b', { labels: { env: 'test' } }),
      image('c', { kind: 'virtualDisk', labels: { env: 'production' } }),
    ]
    const facts = fleet(store('edge-a', images), store('edge-b'))
    const named = (more: Partial<PolicyTerms>): string[] => plan(facts, { policy: policy(more) }).copies.map(({ name }) => name)
    expect(named({})).toEqual(['a', 'b'])
    expect(named({ labels: [{ key: 'env', value: 'production' }] })).toEqual(['a'])
    expect(named({ labels: [{ key: 'env', value: undefined }] })).toEqual(['a', 'b'])
    expect(named({ labels: [{ key: 'env', value: undefined }, { key: 'team', value: 'x' }] })).toEqual(['a']) // prettier-ignore
    expect(named({ kinds: ['virtualDisk'] })).toEqual(['c'])
    expect(named({ labels: [{ key: 'constructor', value: undefined }] })).toEqual([])
  })

  test('copies that another run has ordered count, and their space is taken', () => {
    const facts = fleet(store('hub', [image('a'), image('b')], { zone: 'zone-2' }), store('edge-a', [], { availableBytes: 150 }))
    const one = policy({ rule: { kind: 'keep', copies: 1 } })
    const { copies, findings } = plan(facts, { policy: one, coming: [{ imageId: 'img_a', store: 'edge-a' }] })
    expect(copies).toEqual([])
    expect(findings).toMatchObject([{ kind: 'unmet', subject: 'b' }])
  })

  test('waits for a store that is silent for less than the grace, unless it cannot have the image', () => {
    const old = image('old', { availableMs: NOW_MS - 5 * HOUR_MS })
    const young = image('young', { availableMs: NOW_MS - HOUR_MS })
    const facts = fleet(store('edge-a', [old, young]), silentStore('edge-b', 2 * HOUR_MS), store('edge-c'))
    const waiting = plan(facts, { policy: policy({ graceMs: 4 * HOUR_MS }) })
    expect(actions(waiting)).toEqual(['young: edge-a > edge-c'])
    expect(waiting.findings).toEqual([
      {
        kind: 'waiting',
        subject: 'edge-b',
        text: 'edge-b has not answered; it may have a copy of 1 image.',
        action: 'They are copied elsewhere after 2 h more of silence. Look at store health edge-b.',
      },
    ])
    expect(actions(plan(facts, { policy: policy({ graceMs: 2 * HOUR_MS }) }))).toEqual(['old: edge-a > edge-c', 'young: edge-a > edge-c'])
  })

  test('makes at most COPIES_PER_RUN_MAX copies and lists at most FINDINGS_MAX findings', () => {
    const images = Array.from({ length: COPIES_PER_RUN_MAX + 3 }, (_, i) => image(`i${String(i).padStart(4, '0')}`, { bytes: 1 }))
    const many = plan(fleet(store('edge-a', images), store('edge-b')))
    expect(many.copies).toHaveLength(COPIES_PER_RUN_MAX)
    expect(many.findings).toMatchObject([{ kind: 'waiting', text: '3 more copies are needed; one run makes at most 200.' }])
    const none = plan(fleet(store('edge-a', images)))
    expect(none.findings).toHaveLength(FINDINGS_MAX)
    expect(none.moreFindings).toBe(COPIES_PER_RUN_MAX + 3 - FINDINGS_MAX)
  })
})

describe('follow', () => {
  const follow = policy({ rule: { kind: 'follow', source: 'hub' } })

  test('copies what the source has to each store of the zone, and nothing else', () => {
    const facts = fleet(store('edge-a', [image('own')]), store('edge-b', [image('a')]), store('hub', [image('a'), image('b')]))
    expect(actions(plan(facts, { policy: follow }))).toEqual(['a: hub > edge-a', 'b: hub > edge-a', 'b: hub > edge-b'])
  })

  test('a source whose images are unknown, or that is gone, is the only finding', () => {
    const unknown = plan(fleet(store('edge-a', [image('own')]), silentStore('hub', HOUR_MS)), { policy: follow, removes: true })
    expect(unknown).toMatchObject({ copies: [], removals: [], findings: [{ kind: 'unmet', text: 'The images of hub are unknown: it has not answered.' }] })
    expect(plan(fleet(store('edge-a')), { policy: follow }).findings).toMatchObject([{ kind: 'unmet', text: 'hub is not registered any more.' }])
  })

  test('what a whole store lacks is one finding', () => {
    const facts = fleet(silentStore('edge-a', HOUR_MS), store('hub', [image('a'), image('b')], { zone: 'zone-2' }))
    expect(plan(facts, { policy: follow }).findings).toMatchObject([{ kind: 'unmet', text: 'edge-a has not answered; 2 images cannot be copied to it.' }])
    const patient = { ...follow, graceMs: 2 * HOUR_MS }
    expect(plan(facts, { policy: patient }).findings).toMatchObject([{ kind: 'waiting', action: 'Look at store health edge-a.' }])
  })
})

describe('removals', () => {
  test('happen only when asked, from the stores with least space, down to the number of the policy', () => {
    const facts = fleet(
      store('edge-a', [image('a')], { availableBytes: 10 }),
      store('edge-b', [image('a')], { availableBytes: 30 }),
      store('edge-c', [image('a')], { availableBytes: 20 }),
    )
    expect(actions(plan(facts))).toEqual([])
    const { removals } = plan(facts, { removes: true })
    expect(removals).toMatchObject([{ store: 'edge-a', imageIds: ['img_a'], keepers: [{ store: 'edge-b' }, { store: 'edge-c' }] }])
  })

  test('spare copies that are protected, in use, or needed by another policy', () => {
    const one = policy({ rule: { kind: 'keep', copies: 1 } })
    const facts = fleet(
      store('edge-a', [image('a', { isProtected: true })], { availableBytes: 1 }),
      store('edge-b', [image('a', { bindings: 1 })], { availableBytes: 2 }),
      store('edge-c', [image('a')], { availableBytes: 3 }),
      store('edge-d', [image('a')], { availableBytes: 4 }),
    )
    const others = [policy({ name: 'q', scope: { kind: 'store', store: 'edge-c' }, rule: { kind: 'keep', copies: 1 } })]
    const planned = plan(facts, { policy: one, others, removes: true })
    expect(actions(planned)).toEqual(['a: - edge-d'])
    expect(planned.findings.map(({ text }) => text)).toEqual([
      'The copy of a in edge-a stays: it is protected.',
      'The copy of a in edge-b stays: an instance uses it.',
      'The copy of a in edge-c stays: the policy q needs it.',
    ])
  })

  test('a copy that follows another store is needed, also while that store does not answer', () => {
    const one = policy({ rule: { kind: 'keep', copies: 1 } })
    const others = [policy({ name: 'q', scope: { kind: 'store', store: 'edge-a' }, rule: { kind: 'follow', source: 'hub' } })]
    const stores = [store('edge-a', [image('a')], { availableBytes: 1 }), store('edge-b', [image('a')])]
    const far = { zone: 'zone-2' }
    expect(actions(plan(fleet(...stores, store('hub', [image('a')], far)), { policy: one, others, removes: true }))).toEqual(['a: - edge-b'])
    expect(actions(plan(fleet(...stores, { ...silentStore('hub', 1), ...far }), { policy: one, others, removes: true }))).toEqual(['a: - edge-b'])
    expect(actions(plan(fleet(...stores, store('hub', [], far)), { policy: one, others, removes: true }))).toEqual(['a: - edge-a'])
  })

  test('spare the only copy with the labels of a policy', () => {
    const labels = { env: 'x' }
    const facts = fleet(store('edge-a', [image('a', { labels })], { availableBytes: 1 }), store('edge-b', [image('a')]), store('edge-c', [image('a')]))
    const labelled = policy({ labels: [{ key: 'env', value: 'x' }], rule: { kind: 'keep', copies: 1 } })
    const planned = plan(facts, { policy: labelled, removes: true })
    expect(actions(planned)).toEqual(['a: - edge-c', 'a: - edge-b'])
    expect(planned.findings.map(({ text }) => text)).toEqual(['The copy of a in edge-a stays: no other copy has the labels of the policy p.'])
  })

  test('of a policy that follows: what came from the source and is gone there, if another store has it', () => {
    const came = { sourceStoreId: 'id of hub' }
    const facts = fleet(
      store('edge-a', [image('gone', came), image('last', came), image('own'), image('here', came)]),
      store('edge-b', [image('gone')], { zone: 'zone-2' }),
      store('hub', [image('here')], { zone: 'zone-2' }),
    )
    const planned = plan(facts, { policy: policy({ rule: { kind: 'follow', source: 'hub' } }), removes: true })
    expect(actions(planned)).toEqual(['gone: - edge-a'])
    expect(planned.findings.map(({ text }) => text)).toEqual(['The copy of last in edge-a stays: it is the last undamaged copy.'])
  })

  test('an image that the source has in another status is not gone', () => {
    const facts = fleet(
      store('edge-a', [image('a', { sourceStoreId: 'id of hub' })]),
      store('edge-b', [image('a')], { zone: 'zone-2' }),
      store('hub', [image('a', { status: 'error' })], { zone: 'zone-2' }),
    )
    expect(plan(facts, { policy: policy({ rule: { kind: 'follow', source: 'hub' } }), removes: true }).removals).toEqual([])
  })
})

describe('properties', () => {
  const STORES = ['s0', 's1', 's2', 's3', 's4']
  const imageOf = fc.record({
    name: fc.constantFrom('a', 'b', 'c'),
    status: fc.constantFrom('available' as const, 'available' as const, 'available' as const, 'degraded' as const, 'creating' as const),
    isProtected: fc.boolean(),
    bindings: fc.constantFrom(0, 0, 1),
    labels: fc.constantFrom({}, { env: 'x' }),
    sourceStoreId: fc.constantFrom(null, 'id of s0'),
    digest: fc.constantFrom(true, true, false),
  })
  const storeOf = (name: string) =>
    fc
      .record({
        zone: fc.constantFrom('zone-1', 'zone-1', 'zone-2'),
        condition: fc.constantFrom('running' as const, 'running' as const, 'running' as const, 'degraded' as const, 'error' as const, 'stopped' as const),
        isEnabled: fc.constantFrom(true, true, true, false),
        hasImagesOn: fc.constantFrom(true, true, true, false),
        availableBytes: fc.constantFrom(0, 15, 60, 500),
        images: fc.uniqueArray(imageOf, { selector: ({ name: title }) => title, maxLength: 3 }),
      })
      .map(({ condition, images, ...more }) => {
        const listed = images.map(({ name: title, digest, ...rest }) =>
          image(title, { ...rest, bytes: title === 'a' ? 40 : 10, ...(digest ? {} : { digest: null }) }),
        )
        if (condition === 'stopped') return { ...silentStore(name, 1000), ...more, images: null }
        if (condition === 'error') return store(name, [], { ...more, state: 'error', images: null, trouble: 'is in error' })
        return store(name, listed, { ...more, state: condition })
      })
  const ruleOf = fc.oneof(
    fc.record({ kind: fc.constant('keep' as const), copies: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ kind: fc.constant('follow' as const), source: fc.constantFrom(...STORES) }),
  )
  const scopeOf = fc.oneof(
    fc.constant({ kind: 'all' as const }),
    fc.constant({ kind: 'zone' as const, zone: 'zone-1' }),
    fc.constantFrom(...STORES).map((name) => ({ kind: 'store' as const, store: name })),
  )
  const policyOf = (name: string) =>
    fc
      .record({ rule: ruleOf, scope: scopeOf, labels: fc.constantFrom([], [{ key: 'env', value: 'x' }]), graceMs: fc.constantFrom(0, HOUR_MS) })
      .map((terms) => policy({ name, ...terms }))
  const orderOf: fc.Arbitrary<PlanOrder> = fc
    .record({
      stores: fc.tuple(...STORES.map(storeOf)),
      policy: policyOf('p'),
      others: fc.array(policyOf('q'), { maxLength: 2 }),
      removes: fc.boolean(),
    })
    .map(({ stores, ...rest }) => ({ ...rest, facts: fleet(...stores), coming: [] }))

  /** Undamaged copies of an image by name, in the stores that match. */
  const copiesOf = (facts: FleetFacts, name: string, zone?: (store: FleetFacts['stores'][number]) => boolean): string[] =>
    facts.stores.flatMap((one) => ((!zone || zone(one)) && one.images?.some((held) => held.name === name && held.status === 'available') ? [one.name] : []))
  const inScope =
    ({ scope }: PolicyTerms) =>
    (one: { name: string; zone: string }): boolean =>
      scope.kind === 'all' || (scope.kind === 'zone' ? one.zone === scope.zone : one.name === scope.store)

  /** Images for which a policy does not hold. */
  const unheld = (facts: FleetFacts, terms: PolicyTerms): string[] => {
    const { rule } = terms
    const scope = facts.stores.filter(inScope(terms))
    return ['a', 'b', 'c'].filter((name) => {
      const named = facts.stores.flatMap((one) => (one.images ?? []).flatMap((held) => (held.name === name ? [{ ...held, store: one.name }] : [])))
      const asking = rule.kind === 'follow' ? named.filter((held) => held.store === rule.source) : named
      if (!asking.some((held) => (held.status === 'available' || held.status === 'degraded') && governs(terms, held))) return false
      const have = copiesOf(facts, name, inScope(terms))
      return rule.kind === 'keep' ? have.length < rule.copies : scope.some((one) => one.name !== rule.source && !have.includes(one.name))
    })
  }

  test('after a plan the policy holds, or a finding says why not', () => {
    fc.assert(
      fc.property(orderOf, (order) => {
        const planned = planPolicy(order)
        const after = applied(order.facts, planned)
        const left = unheld(after, order.policy)
        if (left.length > 0) expect(planned.findings.length).toBeGreaterThan(0)
        for (const name of left) {
          // A finding is about the image, about a store that waits, or about the whole policy.
          const stores = after.stores.filter((one) => one.images === null || !one.isEnabled || !one.hasImagesOn).map((one) => one.name)
          const subjects = new Set([name, ...stores, 'zone zone-1', 'all stores', ...STORES])
          expect(planned.findings.some(({ subject }) => subjects.has(subject))).toBe(true)
        }
      }),
      propertyOptions(2000),
    )
  })

  test('the same facts give the same plan, whatever the order of the stores is', () => {
    fc.assert(
      fc.property(orderOf, (order) => {
        const reversed = { ...order, facts: { ...order.facts, stores: order.facts.stores.toReversed() } }
        expect(actions(planPolicy(reversed)).toSorted()).toEqual(actions(planPolicy(order)).toSorted())
      }),
      propertyOptions(500),
    )
  })

  test('a second plan after the first does nothing', () => {
    fc.assert(
      fc.property(orderOf, (order) => {
        const after = applied(order.facts, planPolicy(order))
        expect(actions(planPolicy({ ...order, facts: after }))).toEqual([])
      }),
      propertyOptions(2000),
    )
  })

  test('copies go only to stores that may take them, have room, and lack the image', () => {
    fc.assert(
      fc.property(orderOf, (order) => {
        const { facts, policy: terms } = order
        const planned = planPolicy(order)
        const room = new Map(facts.stores.map((one) => [one.name, one.availableBytes]))
        for (const { name, target, sources, bytes } of planned.copies) {
          const into = facts.stores.find((one) => one.name === target)
          expect(into && inScope(terms)(into)).toBe(true)
          expect(into).toMatchObject({ isEnabled: true, hasImagesOn: true })
          expect(into?.images).not.toBeNull()
          expect(copiesOf(facts, name)).not.toContain(target)
          for (const source of sources) expect(copiesOf(facts, name)).toContain(source.store)
          room.set(target, (room.get(target) ?? 0) - bytes)
        }
        for (const left of room.values()) expect(left).toBeGreaterThanOrEqual(0)
      }),
      propertyOptions(1000),
    )
  })

  test('nothing is removed unless asked, never below the number of any policy, and never the last copy', () => {
    fc.assert(
      fc.property(orderOf, (order) => {
        const planned = planPolicy(order)
        if (!order.removes) expect(planned.removals).toEqual([])
        const after = applied(order.facts, { ...planned, copies: [] })
        for (const { name, store: from, keepers } of planned.removals) {
          const removed = order.facts.stores.find((one) => one.name === from)?.images?.find((held) => held.name === name)
          expect(removed).toMatchObject({ isProtected: false, bindings: 0 })
          const left = copiesOf(after, name)
          expect(left.length).toBeGreaterThan(0)
          expect(keepers.map((keeper) => keeper.store).toSorted()).toEqual(left.toSorted())
          for (const terms of [order.policy, ...order.others]) {
            const { rule } = terms
            if (rule.kind !== 'keep') continue
            const before = copiesOf(order.facts, name, inScope(terms)).length
            const now = copiesOf(after, name, inScope(terms)).length
            const governed = order.facts.stores.some((one) =>
              one.images?.some((held) => held.name === name && held.status !== 'creating' && governs(terms, held)),
            )
            if (governed && (terms !== order.policy || order.policy.rule.kind === 'keep')) expect(now).toBeGreaterThanOrEqual(Math.min(before, rule.copies))
          }
        }
      }),
      propertyOptions(2000),
    )
  })
})
