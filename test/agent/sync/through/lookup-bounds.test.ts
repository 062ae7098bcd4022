// How many images are looked for at origins at a time, as a literal.

import { expect, test } from 'bun:test'
import { createLookup } from '../../../../agent/sync/through/lookup.ts'
import type { LookupDeps } from '../../../../agent/sync/through/lookup.ts'
import { ProblemError } from '../../../../protocol/problems.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'

test('sixteen images are looked for at a time, and the seventeenth is refused', async () => {
  const notFound = new ProblemError({ type: 'urn:slipway:problem:not-found', title: '', status: 404, detail: '', action: '' }, { isFromPeer: true })
  const client = { images: { get: () => Promise.reject(notFound) } }
  const origin = { name: 'hub', url: 'http://hub', state: 'reachable', storeId: 'x', version: 2, client }
  const origins = { list: () => [origin], usable: () => Promise.resolve([origin]), answered() {}, failed() {} } as unknown as LookupDeps['origins']
  const find = createLookup({ clock: createManualClock(), origins })
  const outcomes = await Promise.allSettled(Array.from({ length: 17 }, (_, n) => find(`img_${String(n).padStart(26, '0')}`)))
  expect(outcomes.map(({ status }) => status === 'fulfilled')).toEqual([...Array.from({ length: 16 }, () => true), false])
  expect(outcomes.at(-1)).toMatchObject({ reason: { message: '16 images are being looked for at the origins.' } })
})
