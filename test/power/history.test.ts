// What a history promises for a disk that was cut at each position around a change.

import { describe, expect, test } from 'bun:test'
import { History, offsetsAt, Timeline } from './history.ts'

/** A timeline on a log whose position the test sets. */
function create() {
  const log = { position: 0 }
  return { log, timeline: new Timeline(() => log.position, 'old') }
}

describe('a timeline', () => {
  test('holds the old value before a change is asked for, either until it is told, and the new one from then on', () => {
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

  test('leaves a change open that was never answered, until a later one is told', () => {
    const { log, timeline } = create()
    timeline.ask('lost')
    log.position = 10
    expect(timeline.at(10)).toEqual(['old', 'lost'])
    timeline.ask('later').confirm()
    expect(timeline.at(10)).toEqual(['later'])
  })

  test('forgets a change that was refused', () => {
    const { log, timeline } = create()
    const change = timeline.ask('refused')
    log.position = 10
    change.refuse()
    expect(timeline.at(10)).toEqual(['old'])
    expect(timeline.last).toBe('old')
  })
})

test('an upload stands between the last offset that was told and the furthest byte that was sent', () => {
  const log = { position: 0 }
  const history = new History(() => log.position)
  const upload = history.addUpload('one', new Uint8Array(100))
  upload.sent.push({ position: 5, end: 60 })
  upload.offsets.push({ position: 9, offset: 50 })
  expect(offsetsAt(upload, 5)).toEqual({ least: 0, greatest: 0 })
  expect(offsetsAt(upload, 8)).toEqual({ least: 0, greatest: 60 })
  expect(offsetsAt(upload, 9)).toEqual({ least: 50, greatest: 60 })
})
