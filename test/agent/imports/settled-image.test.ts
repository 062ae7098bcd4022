// The end of an import whose image was inspected: the error of its task has the code and the sentence of the refusal.

import { expect, test } from 'bun:test'
import { undetected } from '../../../agent/images/formats/inspection.ts'
import { settledImage } from '../../../agent/imports/settled-image.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { ProblemError } from '../../../protocol/problems.ts'
import type { ProblemCode } from '../../../protocol/problems.ts'
import { memoryImage } from '../../support/memory/memory-image.ts'

const ID = 'img_00000000000000000000000000'
const AGAIN = `Delete image ${ID}, correct the source, and import it again.`
const RESTORE = `Do what the detail says, then restore image ${ID}, or delete it and import it again.`

/** Settles an image that is in these states one after the other, and then in the last of them. */
async function settled(...states: readonly (Image | undefined)[]): Promise<unknown> {
  const left = [...states]
  const images = { find: () => (left.length > 1 ? left.shift() : left[0]) }
  const clock = { ...systemClock, sleep: async () => {} }
  return settledImage({ images, clock }, ID, new AbortController().signal).catch((error: unknown) => {
    if (!(error instanceof ProblemError)) throw error
    return [error.code, error.problem.detail, error.problem.action]
  })
}

const refused = (code: ProblemCode, statusReason: string) => memoryImage({ id: ID, status: 'error', statusReason, formatDetails: undetected(code) })

test('an available image is returned once it is inspected', async () => {
  const available = memoryImage({ id: ID, status: 'available' })
  const unsettled = (['uploading', 'pending', 'creating'] as const).map((status) => memoryImage({ id: ID, status }))
  expect(await settled(...unsettled, available)).toBe(available)
})

test.each([
  ['unsafe-image', AGAIN],
  ['format-mismatch', AGAIN],
  ['unsupported-format', AGAIN],
  ['invalid-input', AGAIN],
  ['digest-mismatch', AGAIN],
  ['forbidden', AGAIN],
  ['payload-too-large', AGAIN],
  ['insufficient-storage', RESTORE],
  ['limit-reached', RESTORE],
  ['data-corrupt', RESTORE],
  ['store-unavailable', RESTORE],
  ['internal', RESTORE],
] as const)('an image refused with %s fails the import with that code', async (code, action) => {
  expect(await settled(memoryImage({ id: ID, status: 'creating' }), refused(code, 'It is refused. Do this.'))).toEqual([
    code,
    'It is refused. Do this.',
    action,
  ])
})

test('an image whose manifest was damaged before its inspection fails the import as damaged', async () => {
  const damaged = memoryImage({ id: ID, status: 'error', statusReason: 'Its manifest is damaged.', formatDetails: null })
  expect(await settled(damaged)).toEqual(['data-corrupt', 'Its manifest is damaged.', RESTORE])
})

test('a code that no problem has is not passed on', async () => {
  const image = memoryImage({ id: ID, status: 'error', statusReason: null, formatDetails: { ...undetected('internal'), refusal: 'toString' } })
  expect(await settled(image)).toEqual(['data-corrupt', 'The image was refused.', RESTORE])
})

test('an image that was deleted meanwhile fails the import', async () => {
  expect(await settled(memoryImage({ id: ID, status: 'creating' }), undefined)).toEqual([
    'not-found',
    `Image ${ID} was deleted before its import ended.`,
    'Check the id or name. List what exists, then try again.',
  ])
})
