// What commands of tasks, uploads, schedules, policies and events show.

import type { Terms } from './term.ts'

export const TASK_TERMS: Terms = {
  Task: { means: 'The id of the task. Commands take any unique part of it.' },
  State: {
    means: 'queued: it waits. running: it works. succeeded, failed and cancelled: it has ended.',
    normal: 'running or succeeded',
    action: 'task show T says why it failed; task retry T starts it again.',
  },
  Kind: { means: 'What it does: import, sync, export, cleanup, scrub and others.' },
  Work: { means: 'What it does, to what, and in which store.' },
  Subject: { means: 'The image, the store or the file that it works on.' },
}

export const UPLOAD_TERMS: Terms = {
  Upload: { means: 'The id of the upload. Commands take any unique part of it.' },
  State: { means: 'uploading: bytes are missing. pending: all bytes are there and the image is being verified.', normal: 'uploading or pending' },
  Rate: {
    means: 'Bytes per second in the last seconds.',
    unit: 'bytes per second',
    action: 'Zero for long: the client has stopped. It can continue at any time.',
  },
  Device: { means: 'The device that the client named.' },
  'Last bytes': { means: 'When the last bytes became durable.', unit: 'time in UTC' },
  Expires: { means: 'When an upload that gets no bytes is dropped.', unit: 'time in UTC' },
}

export const SCHEDULE_TERMS: Terms = {
  Schedule: { means: 'cleanup frees space, scrub verifies every slice, expire drops abandoned uploads.' },
  State: { means: 'Whether the schedule is active or paused.', normal: 'active', action: 'schedule resume S NAME lets it run again.' },
}

export const POLICY_TERMS: Terms = {
  Removed: { means: 'How many copies a run with --removes deletes. Each image keeps the copies that the policies ask for.', unit: 'copies' },
  Copied: { means: 'How many images the run copies, and how much that is at most.', unit: 'images, bytes' },
  Policy: { means: 'The name of the policy.' },
  State: { means: 'Whether the policy is active or paused.', normal: 'active', action: 'policy resume P lets it run again.' },
  'What it does': { means: 'How many copies it keeps of which images, or which store it follows.' },
  Grace: { means: 'How long it waits before it removes a copy that is not needed any more.', unit: 'duration' },
  Action: { means: 'What the next run would do with the image.' },
  From: { means: 'The store from which the image is copied.' },
  'Up to': { means: 'The most bytes that the copy moves; slices that the store has are not moved.', unit: 'bytes' },
  'Other copies': { means: 'Other stores that have the image.' },
  'Run of …': {
    means: 'When it last ran, what it did, and what failed.',
    normal: 'Nothing failed.',
    action: 'Run policy run P --dry-run to see what it would do now.',
  },
}

export const EVENT_TERMS: Terms = {
  Severity: { means: 'info: as it should be. warning: look at it. error: something was lost or refused.', normal: 'info', action: 'Run store health S.' },
  Type: { means: 'What happened, such as image.published; the part before the dot names the subject.' },
  Subject: { means: 'The image, upload, task or store to which it happened.' },
  What: { means: 'What happened, in words.' },
}
