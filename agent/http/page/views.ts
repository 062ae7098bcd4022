// What the page shows, as Views: from what the agent's own routes answer.

import type { StoreEvent } from '../../../protocol/event.ts'
import type { Check, CheckState, Health } from '../../../protocol/health.ts'
import type { Image } from '../../../protocol/images/image.ts'
import type { Store } from '../../../protocol/store.ts'
import type { Task } from '../../../protocol/task.ts'
import type { Upload } from '../../../protocol/upload.ts'
import { formatDuration } from '../../../protocol/units.ts'
import { imageCells } from '../../../protocol/views/image-cells.ts'
import {
  formatBytes,
  formatWireTime,
  percent,
  plural,
  progressWords,
  stateTone,
  stateWord,
  statusTone,
  statusWord,
  taskTone,
  UNKNOWN,
} from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { Column, Field, Tone, View } from '../../../protocol/views/view.ts'

const CHECK_ORDER: Record<CheckState, number> = { failed: 0, warning: 1, unknown: 2, ok: 3 }
const CHECK_TONES: Record<CheckState, Tone> = { failed: 'bad', warning: 'warning', unknown: 'warning', ok: 'good' }
const EVENT_TONES: Record<StoreEvent['severity'], Tone> = { info: 'plain', warning: 'warning', error: 'bad' }

const CHECK_COLUMNS: readonly Column[] = [
  { key: 'check', label: 'Check', isWhole: true },
  { key: 'state', label: 'State' },
  { key: 'measured', label: 'Measured' },
  { key: 'limit', label: 'Limit' },
  { key: 'impact', label: 'Impact' },
  { key: 'action', label: 'What to do' },
]

const UPLOAD_COLUMNS: readonly Column[] = [
  { key: 'name', label: 'Image' },
  { key: 'state', label: 'State' },
  { key: 'reason', label: 'Now' },
  { key: 'progress', label: 'Progress', align: 'right' },
  { key: 'rate', label: 'Rate', align: 'right' },
  { key: 'by', label: 'By' },
  { key: 'started', label: 'Started' },
  { key: 'upload', label: 'Upload', isWhole: true },
]

const TASK_COLUMNS: readonly Column[] = [
  { key: 'kind', label: 'Task' },
  { key: 'state', label: 'State' },
  { key: 'subject', label: 'Of', isWhole: true },
  { key: 'progress', label: 'Progress' },
  { key: 'detail', label: 'Detail' },
  { key: 'by', label: 'By' },
  { key: 'started', label: 'Created' },
  { key: 'ended', label: 'Ended' },
]

const EVENT_COLUMNS: readonly Column[] = [
  { key: 'time', label: 'Time' },
  { key: 'severity', label: 'Severity' },
  { key: 'type', label: 'Type' },
  { key: 'message', label: 'What' },
  { key: 'by', label: 'By' },
  { key: 'subject', label: 'Subject', isWhole: true },
]

/** Columns of images by the member of the HTTP interface that sorts them. */
const IMAGE_COLUMNS: readonly Column[] = [
  { key: 'name', label: 'Name' },
  { key: 'status', label: 'Status' },
  { key: 'kind', label: 'Kind' },
  { key: 'format', label: 'Format' },
  { key: 'length', label: 'Length', align: 'right' },
  { key: 'storedSize', label: 'Stored', align: 'right' },
  { key: 'owner', label: 'Owner' },
  { key: 'createdAt', label: 'Created' },
]

/** The health of the store, the worst check first, and what the store has. `store` is undefined when the agent cannot describe it. */
export function healthView(health: Health, store: Store | undefined): View {
  const checks = health.checks.toSorted((a, b) => CHECK_ORDER[a.state] - CHECK_ORDER[b.state])
  return makeView({
    title: store?.name ?? 'Store',
    text: healthSentence(checks),
    tone: stateTone(health.state),
    fields: [
      { label: 'State', value: stateWord(health.state), tone: stateTone(health.state) },
      ...(store ? storeFields(store) : [{ label: 'Store', value: 'The agent cannot describe its store now. The checks say why.', isLine: true as const }]),
    ],
    columns: CHECK_COLUMNS,
    rows: checks.map((check) => ({
      tone: CHECK_TONES[check.state],
      cells: { check: check.name, state: check.state, measured: check.measured, limit: check.limit ?? UNKNOWN, impact: check.impact, action: check.action },
    })),
    asOfMs: Date.parse(health.asOf),
    json: health,
  })
}

function healthSentence(checks: readonly Check[]): string {
  const bad = checks.filter(({ state }) => state !== 'ok').length
  return bad === 0 ? 'Every check is well.' : `${bad} of ${plural(checks.length, 'check')} ${bad === 1 ? 'is' : 'are'} not well; the worst comes first.`
}

function storeFields({ description, enabled, disabledReason, zone, scope, version, capacity, slices, images, uploads, mount }: Store): Field[] {
  const optional = (label: string, value: string | null): Field[] => (value === null || value === '' ? [] : [{ label, value }])
  return [
    ...optional('Description', description),
    ...(enabled ? [] : [{ label: 'Disabled', value: disabledReason ?? 'An operator disabled the store.', tone: 'warning' as const }]),
    { label: 'Space', value: `${formatBytes(capacity.available)} available of ${formatBytes(capacity.total)}` },
    { label: 'Images', value: `${images.available} available, ${images.deleted} in the recycle bin` },
    { label: 'Slices', value: `${formatBytes(slices.storedBytes)} for ${formatBytes(slices.imageBytes)} of images` },
    { label: 'Uploads', value: `${plural(uploads.active, 'upload')} under way` },
    ...optional('Zone', zone),
    ...optional('Scope', scope),
    { label: 'Mount path', value: mount },
    { label: 'Version', value: version },
  ]
}

/** A list of uploads under way. */
export function uploadsView(uploads: readonly Upload[], nowMs: number): View {
  return makeView({
    title: 'Uploads',
    text: uploads.length === 0 ? 'No uploads are under way.' : `${plural(uploads.length, 'upload')} under way, newest first`,
    columns: UPLOAD_COLUMNS,
    rows: uploads.map((upload) => ({
      tone: upload.state === 'uploading' ? 'good' : 'plain',
      cells: {
        name: upload.name ?? 'part of a concatenation',
        state: upload.state === 'uploading' ? 'Uploading' : 'Pending',
        reason: upload.stateReason,
        progress: uploadProgress(upload),
        rate: upload.rate > 0 ? `${formatBytes(Math.round(upload.rate))}/s` : UNKNOWN,
        by: upload.creator,
        started: formatWireTime(upload.createdAt),
        upload: upload.id,
        ...(upload.imageId === null ? {} : { id: upload.imageId }),
      },
    })),
    asOfMs: nowMs,
    json: uploads,
  })
}

function uploadProgress({ offset, length, etaSeconds }: Upload): string {
  if (length === null) return `${formatBytes(offset)} of a length that is not known yet`
  const left = etaSeconds === null ? '' : `, ${formatDuration(etaSeconds * 1000)} left`
  return `${percent(offset, length)} of ${formatBytes(length)}${left}`
}

/** A list of tasks; those that run have a bar. */
export function tasksView(tasks: readonly Task[], store: string, nowMs: number): View {
  return makeView({
    title: 'Tasks',
    text: tasks.length === 0 ? 'No tasks.' : `${plural(tasks.length, 'task')}, newest first`,
    progress: tasks.filter(({ state }) => state === 'running').map((task) => ({ store, task })),
    columns: TASK_COLUMNS,
    rows: tasks.map((task) => ({
      tone: taskTone(task.state),
      cells: {
        kind: task.kind,
        state: task.state,
        subject: task.subject,
        progress: progressWords(task),
        detail: task.error?.detail ?? task.detail ?? '',
        by: task.createdBy,
        started: formatWireTime(task.createdAt),
        ended: formatWireTime(task.endedAt),
      },
    })),
    asOfMs: nowMs,
    json: tasks,
  })
}

/** A list of events. */
export function eventsView(events: readonly StoreEvent[], nowMs: number): View {
  return makeView({
    title: 'Events',
    text: events.length === 0 ? 'No events.' : `${plural(events.length, 'event')}, newest first`,
    columns: EVENT_COLUMNS,
    rows: events.map(({ time, severity, type, message, actor, subject }) => ({
      tone: EVENT_TONES[severity],
      cells: { time: formatWireTime(time), severity, type, message, by: actor, subject },
    })),
    asOfMs: nowMs,
    json: events,
  })
}

/** A page of the list of images. */
export function imagesView(images: readonly Image[], nowMs: number): View {
  return makeView({
    title: 'Images',
    text: images.length === 0 ? 'No image passes the filter.' : '',
    columns: IMAGE_COLUMNS,
    rows: images.map((image) => {
      const { name, kind, format, length, stored, owner, created, id } = imageCells(image)
      return {
        tone: statusTone(image.status),
        cells: { name, status: statusWord(image.status), kind, format, length, storedSize: stored, owner, createdAt: created, id },
      }
    }),
    asOfMs: nowMs,
    json: images,
  })
}

/** One image. */
export function imageView(image: Image, nowMs: number): View {
  const optional = (label: string, value: string | null): Field[] => (value === null || value === '' ? [] : [{ label, value }])
  return makeView({
    title: image.name,
    text: image.statusReason ?? '',
    tone: statusTone(image.status),
    fields: [
      { label: 'Status', value: statusWord(image.status), tone: statusTone(image.status) },
      { label: 'Id', value: image.id },
      ...optional('Description', image.description),
      { label: 'Kind', value: image.kind },
      { label: 'Format', value: image.format ?? UNKNOWN },
      { label: 'Length', value: formatBytes(image.length) },
      { label: 'Virtual size', value: formatBytes(image.virtualSize) },
      { label: 'Stored size', value: formatBytes(image.storedSize) },
      ...(image.uniqueSize === null ? [] : [{ label: 'Deleting frees', value: formatBytes(image.uniqueSize) }]),
      { label: 'SHA-256', value: image.digest ?? 'being computed in the background', isLine: true },
      ...optional('Operating system', image.os),
      ...optional('Media group', image.mediaGroup),
      { label: 'Owner', value: image.owner ?? UNKNOWN },
      { label: 'Protected', value: image.protected ? 'yes' : 'no' },
      { label: 'In use by', value: image.bindings.length === 0 ? 'nothing' : image.bindings.join(', '), isLine: true },
      { label: 'Created', value: formatWireTime(image.createdAt) },
      { label: 'Published', value: formatWireTime(image.availableAt) },
      ...(image.deletedAt === null ? [] : [{ label: 'Deleted', value: formatWireTime(image.deletedAt) }]),
      ...(image.expiresAt === null ? [] : [{ label: 'Deleted for good', value: formatWireTime(image.expiresAt) }]),
    ],
    asOfMs: nowMs,
    json: image,
  })
}
