// Which runs are merged: four of about the same size, with smaller ones between them.

import { expect, test } from 'bun:test'
import { planMerge } from '../../../../agent/slices/index/run-merge.ts'

/** Rows of a run that counts as small, and of the next sizes up: each is four times as large. */
const [S, M, L] = [32_768, 131_072, 524_288]

test.each<[readonly number[], { from: number; to: number } | undefined]>([
  [[], undefined],
  [[S, S, S], undefined],
  [[S, S, S, S], { from: 0, to: 4 }],
  [[1, S, 0, S], { from: 0, to: 4 }],
  [[S, S, S, S, S], { from: 0, to: 5 }],
  // One row more is the next size.
  [[S, S, S, S + 1], undefined],
  [[M, S, S, S, S], { from: 1, to: 5 }],
  [[S, S, M, S, S], undefined],
  [[M, M, M, M], { from: 0, to: 4 }],
  [[M, S, M, S, M, M], { from: 0, to: 6 }],
  [[S, M, M, M, M, L], { from: 0, to: 5 }],
  [[L, S + 1, M, M, M, L], { from: 1, to: 5 }],
  [[L, L, L, M + 1], { from: 0, to: 4 }],
  // The smallest runs first.
  [[M, M, M, M, S, S, S, S], { from: 4, to: 8 }],
])('%j', (rows, expected) => {
  expect(planMerge(rows)).toEqual(expected)
})
