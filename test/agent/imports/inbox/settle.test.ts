// When a file in the inbox is complete.

import { describe, expect, test } from 'bun:test'
import { judgeInbox, NOTHING_OBSERVED } from '../../../../agent/imports/inbox/settle.ts'
import type { InboxEntry } from '../../../../agent/imports/local/inbox-folder.ts'

interface Given {
  readonly inode?: string
  readonly length?: number
  readonly writtenS?: number
  readonly changedS?: number
  readonly created?: string
}

/** Returns a file whose last write and last change were at these seconds. */
function fileAt(name: string, { inode = '7', length = 10, writtenS = 100, changedS = writtenS, created = '1' }: Given = {}): InboxEntry {
  const nameBytes = Buffer.from(name)
  return {
    nameBytes,
    key: nameBytes.toString('latin1'),
    kind: 'file',
    identity: { inode, length, modifiedNs: `${writtenS}000000000` },
    changedNs: BigInt(changedS) * 1_000_000_000n,
    fileKey: `1:${BigInt(inode)}`,
    fileId: `${inode}:${created}`,
  }
}

const SETTLE_MS = 10_000

/** Looks at the inbox at several times, and returns the names that were complete at the last one, and the wait after it. */
function look(...looks: readonly (readonly [atMs: number, ...entries: readonly InboxEntry[]])[]) {
  let observations = NOTHING_OBSERVED
  let complete: string[] = []
  let waitMs: number | undefined
  for (const [nowMs, ...entries] of looks) {
    const verdict = judgeInbox(observations, entries, { nowMs, settleMs: SETTLE_MS })
    observations = verdict.observations
    complete = verdict.complete.map(({ key }) => key)
    waitMs = verdict.waitMs
  }
  return { complete, waitMs }
}

describe('a file of the inbox', () => {
  test('is complete when it was not written for the settling time, counted from the first look', () => {
    const file = fileAt('a.img')
    expect(look([0, file])).toEqual({ complete: [], waitMs: 10_000 })
    expect(look([0, file], [9_999, file])).toEqual({ complete: [], waitMs: 1 })
    expect(look([0, file], [10_000, file])).toEqual({ complete: ['a.img'], waitMs: undefined })
  })

  test('starts to settle again when its length, its time or its inode changes', () => {
    const file = fileAt('a.img')
    for (const other of [fileAt('a.img', { length: 11 }), fileAt('a.img', { writtenS: 101 }), fileAt('a.img', { inode: '8' })]) {
      expect(look([0, file], [9_000, other], [10_000, other])).toEqual({ complete: [], waitMs: 9_000 })
      expect(look([0, file], [9_000, other], [19_000, other]).complete).toEqual(['a.img'])
    }
  })

  test('keeps settling when only its mode changes', () => {
    expect(look([0, fileAt('a.img')], [10_000, fileAt('a.img', { changedS: 104 })]).complete).toEqual(['a.img'])
  })

  test('is complete at once when it had a temporary name before', () => {
    expect(look([0, fileAt('a.img.part')], [1, fileAt('a.img')]).complete).toEqual(['a.img'])
    expect(look([0, fileAt('.a.img')], [1, fileAt('a.img')], [2, fileAt('a.img')]).complete).toEqual(['a.img'])
  })

  test('is not complete because a removed temporary file had the same inode', () => {
    expect(look([0, fileAt('a.img.part')], [1, fileAt('a.img', { created: '2' })]).complete).toEqual([])
  })

  test('is complete at once when it was moved in, long after its last write', () => {
    expect(look([0, fileAt('a.img', { writtenS: 90, changedS: 100 })]).complete).toEqual(['a.img'])
    expect(look([0, fileAt('a.img', { writtenS: 91, changedS: 100 })]).complete).toEqual([])
  })

  test('is never complete with a temporary name, nor if it is no file', () => {
    const folder: InboxEntry = { ...fileAt('a.img'), kind: 'other' }
    expect(look([0, fileAt('a.part'), folder], [60_000, fileAt('a.part'), folder])).toEqual({ complete: [], waitMs: undefined })
  })
})
