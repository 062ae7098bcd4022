// The stores that a pass of healing asks: the origins of the configuration, then the other stores that this one synced with.

import type { Origin, Origins } from '../../contract/origins.ts'

/** Joins origins and partners. A partner that is an origin too is asked as an origin. Disposing ends nothing: who created the two disposes them. */
export function joinOrigins(origins: Origins, partners: Origins): Origins {
  const ofKind = (origin: Origin): Origins => (origin.kind === 'origin' ? origins : partners)
  return {
    list: () => [...origins.list(), ...partners.list()],
    async usable() {
      const [first, others] = await Promise.all([origins.usable(), partners.usable()])
      // A store that the configuration names at two addresses is asked at both.
      const known = new Set(first.map(({ storeId }) => storeId))
      return [...first, ...others.filter(({ storeId }) => !known.has(storeId))]
    },
    answered: (origin) => ofKind(origin).answered(origin),
    failed: (origin, error) => ofKind(origin).failed(origin, error),
    onReachable(listener) {
      const listening = [origins.onReachable(listener), partners.onReachable(listener)]
      return {
        [Symbol.dispose]() {
          for (const one of listening) one[Symbol.dispose]()
        },
      }
    },
    [Symbol.dispose]() {},
  }
}
