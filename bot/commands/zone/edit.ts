// `zone edit Z images=on|off`: switches images on or off in every store of a zone.

import { problem } from '../../../protocol/problems.ts'
import { makeView } from '../../views/view.ts'
import { plural } from '../../views/phrases.ts'
import { defineCommand } from '../command.ts'
import { gapNotes, gapsJson, someStores } from '../select.ts'
import { parseSwitch } from '../store/edit.ts'

export const zoneEdit = defineCommand({
  noun: 'zone',
  verb: 'edit',
  summary: 'Switches images on or off in every store of a zone',
  role: 'admin',
  effect: 'write',
  targets: [{ name: 'Z', about: 'name of a zone', subject: 'zone' }],
  options: { images: { about: 'off refuses new images; existing images stay readable', value: 'on|off' } },
  examples: ['zone edit zone-1 images=off'],
  async run(context, { targets, options }) {
    const [zone = ''] = targets
    if (options.images === undefined) throw problem('invalid-input', 'zone edit needs something to change.', { action: 'Add images=on or images=off.' })
    const imagesEnabled = parseSwitch(options.images)
    const stores = someStores(context, undefined, zone)
    const contacts = await Promise.all(stores.map((store) => context.fleet.contact(store, (agent) => agent.store.patch({ imagesEnabled }))))
    const changed = contacts.filter(({ kind }) => kind === 'answered')
    const word = imagesEnabled ? 'on' : 'off'
    return makeView({
      title: `Zone ${zone} changed`,
      ...(changed.length < stores.length ? { outcome: 'failed' as const, tone: 'bad' as const } : {}),
      text: `Images are switched ${word} in ${changed.length} of ${plural(stores.length, 'store')}.`,
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
  },
})
