// Uploads as rows, fields and JSON, and how one is found.

import type { AgentClient } from '../../../protocol/client/agent-client.ts'
import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import type { Upload } from '../../../protocol/upload.ts'
import { formatDuration } from '../../../protocol/units.ts'
import { actorIn } from '../permit.ts'
import type { Contact } from '../../fleet/fleet.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { Column, Field, Row, View } from '../../../protocol/views/view.ts'
import { formatBytes, formatWireTime, UNKNOWN } from '../../../protocol/views/phrases.ts'
import type { CommandActor, CommandContext } from '../command.ts'
import { seenImageIds } from '../image/list/seen-images.ts'
import { quoteOption } from '../../views/quote.ts'
import { gapNotes, isPartOf, someStores } from '../select.ts'

/** Uploads of one store that a command reads. */
export const UPLOADS_READ_MAX = 1000

/** An upload and its store. */
export interface FoundUpload {
  readonly store: StoreRecord
  readonly upload: Upload
}

export const UPLOAD_COLUMNS: readonly Column[] = [
  { key: 'name', label: 'Image', isWhole: true },
  { key: 'store', label: 'Store', isWhole: true },
  { key: 'state', label: 'State' },
  { key: 'progress', label: 'Progress' },
  { key: 'rate', label: 'Rate', align: 'right' },
  { key: 'by', label: 'By' },
  { key: 'device', label: 'Device', isMinor: true },
  { key: 'expires', label: 'Expires', isMinor: true },
  { key: 'id', label: 'Upload', isWhole: true },
]

export function uploadRow({ store, upload }: FoundUpload): Row {
  return {
    tone: upload.state === 'uploading' ? 'good' : 'plain',
    cells: {
      name: nameOf(upload),
      store: store.name,
      state: stateWord(upload),
      progress: progressText(upload),
      rate: rateText(upload),
      by: upload.creator,
      device: upload.device ?? UNKNOWN,
      expires: upload.expiresAt === null ? 'never' : formatWireTime(upload.expiresAt),
      id: upload.id,
    },
  }
}

/** An upload for `--json`: the members of the HTTP interface, and the store. */
export function uploadJson({ store, upload }: FoundUpload): Record<string, unknown> {
  return { store: store.name, ...upload }
}

/** The View of one upload. */
export function uploadView(title: string, found: FoundUpload, asOfMs: number): View {
  const { store, upload } = found
  const optional = (label: string, value: string | null): Field[] => (value === null ? [] : [{ label, value }])
  return makeView({
    title,
    fields: [
      { label: 'Upload', value: upload.id },
      { label: 'Image', value: upload.imageId === null ? 'none: a part of a concatenation' : `${nameOf(upload)} (${upload.imageId})` },
      { label: 'Store', value: store.name },
      { label: 'State', value: stateWord(upload) },
      { label: 'Reason', value: upload.stateReason },
      { label: 'Progress', value: progressText(upload) },
      { label: 'Rate', value: rateText(upload) },
      { label: 'By', value: upload.creator },
      ...optional('Device', upload.device),
      ...optional('File', upload.filename),
      ...optional('Owner', upload.owner),
      { label: 'Started', value: formatWireTime(upload.createdAt) },
      { label: 'Last bytes', value: formatWireTime(upload.activeAt) },
      { label: 'Expires', value: upload.expiresAt === null ? 'never' : formatWireTime(upload.expiresAt) },
    ],
    actions: [{ label: 'Cancel upload', command: `upload cancel ${upload.id} ${quoteOption('store', store.name)}`, role: 'operator', style: 'danger' }],
    asOfMs,
    json: { ...uploadJson(found), asOf: formatTime(asOfMs) },
  })
}

/** Reads the uploads in progress of one store, or of all. */
export async function readUploads(context: CommandContext, store: string | undefined, state?: Upload['state']): Promise<readonly Contact<Upload[]>[]> {
  return await context.fleet.contactAll(someStores(context, store, undefined), (agent, at) => firstUploads(actorIn(context.actor, at), agent, state))
}

/** The uploads of several answers, each with its store. */
export function foundUploads(contacts: readonly Contact<Upload[]>[]): FoundUpload[] {
  return contacts.flatMap((contact) => (contact.kind === 'answered' ? contact.value.map((upload) => ({ store: contact.store, upload })) : []))
}

/** The one upload with this id, part of an id, id of its image, or name. Throws `not-found` or `conflict`. */
export async function oneUpload(context: CommandContext, text: string, store: string | undefined): Promise<FoundUpload> {
  const contacts = await readUploads(context, store)
  const all = foundUploads(contacts)
  const named = all.filter(({ upload }) => upload.name === text || upload.imageId === text)
  const found = named.length > 0 ? named : all.filter(({ upload }) => isPartOf(text, upload.id))
  const [first] = found
  if (!first) {
    throw problem('not-found', [`No upload "${text}" is in progress.`, ...gapNotes(contacts, 'its uploads')].join(' '), {
      action: 'List them with upload list.',
    })
  }
  if (found.length > 1) throw problem('conflict', `${found.length} uploads match "${text}".`, { action: 'Use the id: upload list shows it.' })
  return first
}

/** Reads the first uploads of a store. People below operator see those whose image they will see; a part of a concatenation has no image yet. */
async function firstUploads(actor: CommandActor, agent: AgentClient, state: Upload['state'] | undefined): Promise<Upload[]> {
  const [{ items }, seen] = await Promise.all([agent.uploads.list({ limit: UPLOADS_READ_MAX, state }), seenImageIds(actor, agent)])
  return items.filter(({ imageId }) => seen === undefined || (imageId !== null && seen.has(imageId)))
}

function nameOf({ name, kind, id }: Upload): string {
  return name ?? (kind === 'partial' ? `part ${id}` : id)
}

function stateWord({ state }: Upload): string {
  return state === 'uploading' ? 'Uploading' : 'Pending'
}

function progressText({ offset, length }: Upload): string {
  if (length === null) return formatBytes(offset)
  const percent = length === 0 ? 100 : Math.floor((offset / length) * 100)
  return `${formatBytes(offset)} of ${formatBytes(length)} (${percent} %)`
}

function rateText({ rate, etaSeconds }: Upload): string {
  if (rate === 0) return UNKNOWN
  return etaSeconds === null ? `${formatBytes(rate)}/s` : `${formatBytes(rate)}/s, ${formatDuration(etaSeconds * 1000)} left`
}
