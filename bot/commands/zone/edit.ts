// `zone edit Z`: changes the description of a zone, and switches images on or off in every store of it.

import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { View } from '../../../protocol/views/view.ts'
import { plural, UNKNOWN } from '../../../protocol/views/phrases.ts'
import type { CommandContext } from '../command.ts'
import { defineCommand } from '../command.ts'
import { gapNotes, gapsJson, oneZone, someStores } from '../select.ts'
import { parseSwitch } from '../store/edit/edit.ts'
import { zoneDescription } from './add.ts'

export const zoneEdit = defineCommand({
  noun: 'zone',
  verb: 'edit',
  summary: 'Changes the description of a zone, or switches images on or off in every store of it',
  role: 'admin',
  effect: 'write',
  targets: [{ name: 'Z', about: 'name of a zone', subject: 'zone' }],
  options: {
    description: { about: 'what the place is', value: 'TEXT' },
    images: { about: 'off refuses new images; existing images stay readable', value: 'on|off' },
  },
  examples: ['zone edit zone-1 images=off', 'zone edit zone-1 description="Main site"'],
  async run(context, { targets, options }) {
    const [zone = ''] = targets
    if (options.images === undefined && options.description === undefined)
      throw problem('invalid-input', 'zone edit needs something to change.', { action: 'Add description=, images=on or images=off.' })
    const imagesEnabled = options.images === undefined ? undefined : parseSwitch(options.images)
    const description = options.description === undefined ? undefined : zoneDescription(options.description)
    // Everything is checked before anything is changed.
    const stores = imagesEnabled === undefined ? [] : someStores(context, undefined, zone)
    if (description !== undefined) context.zones.describe(oneZone(context, zone).name, description)
    return imagesEnabled === undefined
      ? describedView(context, zone)
      : switchImages(context, { zone, stores, imagesEnabled, isDescribed: description !== undefined })
  },
})

function describedView(context: CommandContext, zone: string): View {
  const { description } = oneZone(context, zone)
  const asOfMs = context.clock.nowMs()
  return makeView({
    title: `Zone ${zone} changed`,
    tone: 'good',
    fields: [{ label: 'Description', value: description || UNKNOWN }],
    asOfMs,
    json: { zone, description, asOf: formatTime(asOfMs) },
  })
}

interface ImageSwitch {
  readonly zone: string
  readonly stores: ReturnType<typeof someStores>
  readonly imagesEnabled: boolean
  readonly isDescribed: boolean
}

/** Switches images on or off in every store. The title says what happened: nothing was changed when no store answered. */
async function switchImages(context: CommandContext, { zone, stores, imagesEnabled, isDescribed }: ImageSwitch): Promise<View> {
  const contacts = await context.fleet.contactAll(stores, (agent) => agent.store.patch({ imagesEnabled }))
  const changed = contacts.filter(({ kind }) => kind === 'answered')
  const word = imagesEnabled ? 'on' : 'off'
  const isAll = changed.length === stores.length
  const description = isDescribed ? ' Its description was changed.' : ''
  return makeView({
    title: isAll ? `Zone ${zone} changed` : changed.length === 0 ? `Images of zone ${zone} not switched ${word}` : `Zone ${zone} changed in part`,
    ...(isAll ? {} : { outcome: 'failed' as const, tone: 'bad' as const }),
    text: `Images are switched ${word} in ${changed.length} of ${plural(stores.length, 'store')}.${isAll ? '' : ' Run the command again when the others answer.'}${description}`,
    columns: [
      { key: 'store', label: 'Store', isWhole: true },
      { key: 'images', label: 'Images' },
    ],
    rows: contacts.map(({ kind, store }) => ({
      tone: kind === 'answered' ? 'good' : 'bad',
      cells: { store: store.name, images: kind === 'answered' ? word : 'unchanged' },
    })),
    notes: gapNotes(contacts, 'its images'),
    asOfMs: context.clock.nowMs(),
    json: { zone, imagesEnabled, changed: changed.map(({ store }) => store.name), missing: gapsJson(contacts) },
  })
}
