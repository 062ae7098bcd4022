// `export list` and `image exports`: files that images were exported as, of one store or of all, newest first.

import type { Export } from '../../../protocol/images/export.ts'
import { formatTime } from '../../../protocol/time.ts'
import { actorIn } from '../permit.ts'
import { formatBytes, formatWireTime, plural, UNKNOWN } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { Tone, View } from '../../../protocol/views/view.ts'
import type { CommandContext } from '../command.ts'
import { defineCommand } from '../command.ts'
import { gapNotes, gapsJson, oldestAsOf, someStores } from '../select.ts'
import { EXPORTS_READ_MAX, seenExports } from './find.ts'
import type { FoundExport } from './find.ts'

const OPTIONS = {
  store: { about: 'only this store', value: 'S', subject: 'store' },
  image: { about: 'only files of this image, by its name when it was exported, or its id', value: 'I', subject: 'image' },
} as const

export const exportList = defineCommand({
  noun: 'export',
  verb: 'list',
  summary: 'Lists exported files, newest first',
  role: 'viewer',
  effect: 'read',
  options: OPTIONS,
  examples: ['export list', 'export list store=edge-a', 'export list image=debian-12'],
  run: (context, { options }) => listExports(context, options),
})

export const imageExports = defineCommand({
  noun: 'image',
  verb: 'exports',
  summary: 'Lists exported files, like export list',
  role: 'viewer',
  effect: 'read',
  options: OPTIONS,
  examples: ['image exports', 'image exports store=edge-a'],
  run: (context, { options }) => listExports(context, options),
})

async function listExports(context: CommandContext, options: { readonly store?: string | undefined; readonly image?: string | undefined }): Promise<View> {
  const { image } = options
  const contacts = await context.fleet.contactAll(someStores(context, options.store, undefined), async (agent, store) => {
    const all: Export[] = []
    for await (const one of seenExports(actorIn(context.actor, store), agent)) if (all.push(one) >= EXPORTS_READ_MAX) break
    return image === undefined ? all : all.filter((one) => one.image === image || one.imageName === image)
  })
  const found: FoundExport[] = contacts.flatMap((contact) =>
    contact.kind === 'answered' ? contact.value.map((one) => ({ store: contact.store, export: one })) : [],
  )
  found.sort((a, b) => b.export.createdAt.localeCompare(a.export.createdAt))
  const asOfMs = oldestAsOf(contacts, context.clock.nowMs())
  return makeView({
    title: 'Exports',
    text: found.length === 0 ? 'No exports. image export I writes an image as a file into exports/ of its store.' : plural(found.length, 'export'),
    columns:
      found.length === 0
        ? []
        : [
            { key: 'id', label: 'Export', isWhole: true },
            { key: 'store', label: 'Store', isWhole: true },
            { key: 'image', label: 'Image' },
            { key: 'file', label: 'File' },
            { key: 'state', label: 'State' },
            { key: 'length', label: 'Length', align: 'right' },
            { key: 'created', label: 'Created', isMinor: true },
            { key: 'by', label: 'By', isMinor: true },
          ],
    rows: found.map(({ store, export: one }) => ({ tone: TONES[one.state], cells: cellsOf(store.name, one) })),
    notes: gapNotes(contacts, 'its exports'),
    asOfMs,
    json: { items: found.map(({ store, export: one }) => ({ store: store.name, ...one })), missing: gapsJson(contacts), asOf: formatTime(asOfMs) },
  })
}

const TONES: Readonly<Record<Export['state'], Tone>> = { ready: 'good', writing: 'plain', deleting: 'plain' }

function cellsOf(store: string, { id, imageName, path, state, length, createdAt, createdBy }: Export): Record<string, string> {
  return {
    id,
    store,
    image: imageName,
    file: path,
    state,
    length: length === null ? UNKNOWN : formatBytes(length),
    created: formatWireTime(createdAt),
    by: createdBy,
  }
}
