// How property tests run: SLIPWAY_SEED repeats a run whose seed a failure printed, SLIPWAY_RUNS makes runs longer or shorter.

import type fc from 'fast-check'

/** Options for `fc.assert`: `runs` is the count of the quick loop. */
export function propertyOptions(runs: number): fc.Parameters<unknown> {
  const seed = Number(process.env['SLIPWAY_SEED'])
  const factor = Number(process.env['SLIPWAY_RUNS'] ?? 1)
  return { numRuns: Math.max(1, Math.round(runs * factor)), ...(Number.isInteger(seed) && process.env['SLIPWAY_SEED'] !== undefined ? { seed } : {}) }
}

/** A seed for loops of one's own: SLIPWAY_SEED, else a new one. Print it when the loop fails. */
export function runSeed(): number {
  const given = Number(process.env['SLIPWAY_SEED'])
  return process.env['SLIPWAY_SEED'] !== undefined && Number.isInteger(given) ? given : Math.floor(Math.random() * 0x7fff_ffff)
}

export interface Random {
  /** A whole number from 0 to n - 1. */
  below(n: number): number
  chance(part: number): boolean
  pick<T>(from: readonly T[]): T
  bytes(length: number): Buffer
}

/** Repeatable randomness (xorshift32). */
export function createRandom(seed: number): Random {
  let state = (seed * 2_654_435_761 + 0x9e37_79b9) >>> 0 || 1
  const next = (): number => {
    state ^= state << 13
    state >>>= 0
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state
  }
  const below = (n: number): number => next() % n
  return {
    below,
    chance: (part) => next() / 0x1_0000_0000 < part,
    pick(from) {
      const picked = from[below(from.length)]
      if (picked === undefined) throw new RangeError('nothing to pick from')
      return picked
    },
    bytes(length) {
      const words = new Uint32Array(Math.ceil(length / 4))
      for (let i = 0; i < words.length; i++) words[i] = next()
      return Buffer.from(words.buffer, 0, length)
    },
  }
}
