// Events as people below operator see them: without names of images.

import { describe, expect, test } from 'bun:test'
import { visibleEvent } from '../../../../bot/commands/event/visible-event.ts'

const EVENT = { store: 'edge-a', id: 7, timeMs: 0, severity: 'info', actor: 'ada' } as const
const HIDDEN = { subject: '–', message: 'An operator sees what it is about.' }

describe('below operator', () => {
  test.each([
    ['health.changed', 'clock', 'The clock is wrong.'],
    ['store.changed', 'edge-a', 'ada changed the store.'],
    ['store.enabled', 'edge-a', 'ada enabled the store.'],
    ['store.disabled', 'edge-a', 'ada disabled the store.'],
    ['schedule.changed', 'cleanup', 'ada changed the schedule cleanup.'],
    ['gc.freed', 'edge-a', 'gc freed 7 bytes.'],
    ['index.damaged', 'edge-a', 'The index is damaged.'],
    ['index.rebuilt', 'edge-a', 'The index is rebuilt.'],
  ])('%s is about the whole store and shown', (type, subject, message) => {
    const event = { ...EVENT, type, subject, message }
    expect([visibleEvent(event, 'viewer'), visibleEvent(event, 'uploader')]).toEqual([event, event])
  })

  test.each([
    'image.available',
    'upload.finished',
    'task.failed',
    'inbox.refused',
    'existing.refused',
    'store.reconciled',
    'link.created',
    'new.type',
    'health.changed.x',
  ])('%s has neither subject nor message', (type) => {
    const event = { ...EVENT, type, subject: 'secret', message: 'Image secret.' }
    expect(visibleEvent(event, 'uploader')).toEqual({ ...EVENT, type, ...HIDDEN })
    expect(visibleEvent(event, 'viewer')).toEqual({ ...EVENT, type, ...HIDDEN })
    expect([visibleEvent(event, 'operator'), visibleEvent(event, 'admin')]).toEqual([event, event])
  })

  test.each(['img_0123', 'upl_0123', 'exp_0123', 'tsk_0123'])('an event about the store that names %s is not shown', (id) => {
    const event = { ...EVENT, type: 'health.changed', subject: 'schedules', message: `expire: ${id} cannot be read` }
    expect(visibleEvent(event, 'viewer')).toEqual({ ...event, ...HIDDEN })
    const about = { ...EVENT, type: 'health.changed', subject: id, message: 'x' }
    expect(visibleEvent(about, 'viewer')).toEqual({ ...about, ...HIDDEN })
  })
})
