// Bounds how often somebody may enter a token that is not valid. Tokens that the agent makes cannot be guessed; one from the configuration might be.

import ipaddr from 'ipaddr.js'
import { problem } from '../../../protocol/problems.ts'
import type { Clock } from '../../contract/runtime.ts'

/** Wrong tokens that one address may enter in a window, and the window in milliseconds. */
export const WRONG_TOKENS_MAX = 10
const WINDOW_MS = 60_000
/** Addresses that are remembered; the oldest window is forgotten for a new one. */
const ADDRESSES_MAX = 10_000

export interface EntryLimit {
  /** Counts an attempt of an address. Throws ProblemError `limit-reached` when the address has used up its window, whatever token it sends. */
  begin(address: string): void
  /** Takes an attempt back, whose token was valid. */
  succeed(address: string): void
}

/** Creates the limit of a running agent. */
export function createEntryLimit(clock: Pick<Clock, 'monotonicMs'>): EntryLimit {
  // In the order of their beginning.
  const windows = new Map<string, { readonly startMs: number; count: number }>()
  return {
    begin(address) {
      const key = networkOf(address)
      const nowMs = clock.monotonicMs()
      let window = windows.get(key)
      if (!window || nowMs - window.startMs >= WINDOW_MS) {
        windows.delete(key)
        window = { startMs: nowMs, count: 0 }
        windows.set(key, window)
        const [oldest] = windows.keys()
        if (windows.size > ADDRESSES_MAX && oldest !== undefined) windows.delete(oldest)
      }
      if (window.count >= WRONG_TOKENS_MAX) {
        const seconds = Math.ceil((window.startMs + WINDOW_MS - nowMs) / 1000)
        const headers = { 'Retry-After': String(seconds) }
        throw problem('limit-reached', 'Too many wrong tokens came from this address.', { action: `Wait ${seconds} s, then try again.` }, { headers })
      }
      window.count++
    },
    succeed(address) {
      const window = windows.get(networkOf(address))
      if (window) window.count--
    },
  }
}

/** Returns the network that belongs to one client: an IPv4 address, or the first 64 bits of an IPv6 address (RFC 6177). */
function networkOf(address: string): string {
  if (!ipaddr.isValid(address)) return address
  const parsed = ipaddr.process(address)
  return parsed.kind() === 'ipv4' ? parsed.toString() : parsed.toByteArray().slice(0, 8).join('.')
}
