// The values that a history expects on a disk that was cut at each position around a change.

import { describe, expect, test } from 'bun:test'
import { History, offsetsAt, Timeline } from './history.ts'

/** Creates a timeline on a log whose position the test sets. */
function create() {
  const log = { position: 0 }
  return { log, timeline: new Timeline(() => log.position, 'old') }
}

describe('a timeline', () => {
  test('has the old value before a change is requested, either value until it is acknowledged, and the new value from then on', () => {
    const { log, timeline } = create()
    log.position = 10
    const change = timeline.ask('new')
    log.position = 20
    change.confirm()
    expect(timeline.at(10)).toEqual(['old'])
    expect(timeline.at(11)).toEqual(['old', 'new'])
    expect(timeline.at(19)).toEqual(['old', 'new'])
    expect(timeline.at(20)).toEqual(['new'])
    expect(timeline.acknowledged).toEqual([20])
  })

  test('keeps a change without a response possible until a later change is acknowledged', () => {
    const { log, timeline } = create()
    timeline.ask('lost')
    log.position = 10
    expect(timeline.at(10)).toEqual(['old', 'lost'])
    timeline.ask('later').confirm()
    expect(timeline.at(10)).toEqual(['later'])
  })

  test('removes a refused change', () => {
    const { log, timeline } = create()
    const change = timeline.ask('refused')
    log.position = 10
    change.refuse()
    expect(timeline.at(10)).toEqual(['old'])
    expect(timeline.last).toBe('old')
  })
})

test('an upload is between the last acknowledged offset and the furthest byte that was sent', () => {
  const log = { position: 0 }
  const history = new History(() => log.position)
  const upload = history.addUpload('one', new Uint8Array(100))
  upload.sent.push({ position: 5, end: 60 })
  upload.offsets.push({ position: 9, offset: 50 })
  expect(offsetsAt(upload, 5)).toEqual({ least: 0, greatest: 0 })
  expect(offsetsAt(upload, 8)).toEqual({ least: 0, greatest: 60 })
  expect(offsetsAt(upload, 9)).toEqual({ least: 50, greatest: 60 })
})
