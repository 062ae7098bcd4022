// How many streams of events may be open.

import { expect, test } from 'bun:test'
import { createStreamCounts } from '../../../../agent/http/events/stream-counts.ts'

test('one token has 10 streams, all together 100', () => {
  const counts = createStreamCounts()
  const own = Array.from({ length: 10 }, () => counts.enter('a', false))
  expect(() => counts.enter('a', false)).toThrow('10 clients already follow the events with this token.')
  own[0]?.()
  const again = counts.enter('a', false)
  expect(() => counts.enter('a', false)).toThrow('10 clients already')
  for (let token = 0; token < 9; token++) for (let i = 0; i < 10; i++) counts.enter(`t${token}`, false)
  expect(() => counts.enter('b', false)).toThrow('100 clients already follow the events.')
  again()
  counts.enter('b', false)
  expect(() => counts.enter('c', false)).toThrow('100 clients already follow the events.')
})

test('16 of them have the state of the store', () => {
  const counts = createStreamCounts()
  const states = Array.from({ length: 16 }, (_, i) => counts.enter(`t${i}`, true))
  expect(() => counts.enter('u', true)).toThrow('16 clients already follow the state of the store.')
  counts.enter('u', false)()
  expect(() => counts.enter('u', true)).toThrow('16 clients already follow the state of the store.')
  states[3]?.()
  counts.enter('u', true)
  expect(() => counts.enter('v', true)).toThrow('16 clients already follow the state of the store.')
})

test('one that ends leaves the others of its token counted, to the last', () => {
  const counts = createStreamCounts()
  const [first] = [counts.enter('a', false), counts.enter('a', false)]
  first()
  const more = Array.from({ length: 9 }, () => counts.enter('a', false))
  expect(() => counts.enter('a', false)).toThrow('10 clients already follow the events with this token.')
  for (const leave of more) leave()
  for (let i = 0; i < 9; i++) counts.enter('a', false)
  expect(() => counts.enter('a', false)).toThrow('10 clients already follow the events with this token.')
})
