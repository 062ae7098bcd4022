// Values at the bounds of schemas.

import { expect, test } from 'bun:test'
import { imagePatchSchema, requirementsSchema } from '../../protocol/images/image.ts'
import { progressSchema } from '../../protocol/task.ts'

test('an instance may need no memory and no disk, but at least one processor', () => {
  expect(requirementsSchema.parse({ cpus: 1, memory: 0, disk: 0 })).toEqual({ cpus: 1, memory: 0, disk: 0 })
  expect(requirementsSchema.parse({})).toEqual({ cpus: null, memory: null, disk: null })
  for (const wrong of [{ cpus: 0 }, { memory: -1 }, { disk: -1 }, { disk: 0.5 }]) expect(requirementsSchema.safeParse(wrong).success).toBe(false)
})

test('a change of an image changes at least one member', () => {
  expect(imagePatchSchema.safeParse({}).success).toBe(false)
  expect(imagePatchSchema.parse({ protected: false })).toEqual({ protected: false })
})

test('work that is done has nothing left', () => {
  const done = { done: 0, total: 0, unit: 'steps', rate: 0, etaSeconds: 0 }
  expect(progressSchema.parse(done)).toEqual(done as ReturnType<typeof progressSchema.parse>)
  for (const member of ['done', 'total', 'rate', 'etaSeconds']) expect(progressSchema.safeParse({ ...done, [member]: -1 }).success).toBe(false)
})
