// What the link that created an upload learns of its end.

import { expect, test } from 'bun:test'
import { settleLink } from '../../../agent/uploads/linked-upload.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'

function createScene(failure?: Error) {
  const log = createMemoryLog()
  const settled: string[][] = []
  const links = {
    claim: async () => true,
    release() {},
    settle(...end: string[]) {
      if (failure) throw failure
      settled.push(end)
    },
  }
  return { log, settled, context: { links, log } }
}

test('a link learns how its upload ended, and other uploads have none to tell', () => {
  const scene = createScene()
  settleLink(scene.context, { id: 'upl_1', linkId: 'lnk_1' }, 'expired')
  settleLink(scene.context, { id: 'upl_2', linkId: null }, 'cancelled')
  expect([scene.settled, scene.log.lines]).toEqual([[['lnk_1', 'upl_1', 'expired']], []])
})

test('a link that cannot be written is logged, and does not stop the removal', () => {
  const error = new Error('EIO')
  const scene = createScene(error)
  settleLink(scene.context, { id: 'upl_1', linkId: 'lnk_1' }, 'cancelled')
  expect(scene.log.lines).toEqual([
    { level: 'warn', message: 'the end of an upload could not be recorded in its link', fields: { upload: 'upl_1', link: 'lnk_1', error } },
  ])
})
