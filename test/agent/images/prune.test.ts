// Which images a prune removes.

import { expect, test } from 'bun:test'
import { planPrune } from '../../../agent/images/prune.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { memoryImage } from '../../support/memory/memory-image.ts'

const NOW_MS = Date.UTC(2026, 0, 2)
const [BEFORE, NOW, AFTER] = ['2026-01-01T23:59:59.999Z', '2026-01-02T00:00:00.000Z', '2026-01-02T00:00:00.001Z'] as const

test.each<[Partial<Image>, 'never' | 'delayed' | 'immediate', 'expired' | 'unfinished' | undefined]>([
  [{ status: 'deleted', expiresAt: BEFORE }, 'delayed', 'expired'],
  [{ status: 'deleted', expiresAt: NOW }, 'delayed', 'expired'],
  [{ status: 'deleted', expiresAt: NOW }, 'immediate', 'expired'],
  [{ status: 'deleted', expiresAt: AFTER }, 'delayed', undefined],
  [{ status: 'deleted', expiresAt: null }, 'delayed', undefined],
  [{ status: 'deleted', expiresAt: BEFORE }, 'never', undefined],
  [{ status: 'deleting', expiresAt: null }, 'never', 'unfinished'],
  [{ status: 'deleting', expiresAt: BEFORE }, 'delayed', 'unfinished'],
  [{ status: 'available', expiresAt: BEFORE }, 'delayed', undefined],
])('%j with the policy %s is removed as %p', (changes, deletion, reason) => {
  const plan = planPrune([memoryImage({ id: 'img_1', name: 'one', ...changes })], NOW_MS, { deletion })
  expect(plan).toEqual({ purge: reason === undefined ? [] : [{ id: 'img_1', name: 'one', reason }] })
})
