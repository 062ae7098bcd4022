// `zone add Z`: adds a zone. It stays when its last store leaves, unlike a zone that only its stores name.

import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { ZONE_DESCRIPTION_MAX } from '../../fleet/zones/zones.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { UNKNOWN } from '../../../protocol/views/phrases.ts'
import { defineCommand } from '../command.ts'
import { quoteWord } from '../../views/quote.ts'
import { STORE_NAME } from '../store/add.ts'

export const zoneAdd = defineCommand({
  noun: 'zone',
  verb: 'add',
  summary: 'Adds a zone to which stores can be attached',
  role: 'admin',
  effect: 'write',
  targets: [{ name: 'Z', about: 'name of the new zone', subject: 'text', optional: true }],
  options: {
    name: { about: 'name of the new zone, if it is not written after the command', value: 'NAME' },
    description: { about: 'what the place is', value: 'TEXT' },
  },
  examples: ['zone add zone-2 description="Second site"'],
  async run(context, { targets, options }) {
    const name = targets[0] ?? options.name
    if (name === undefined)
      throw problem('invalid-input', 'zone add needs the name of the zone.', { action: 'Write zone add zone-2 description="Second site".' })
    if (!STORE_NAME.test(name) || name === 'all')
      throw problem('invalid-input', `"${name}" cannot be the name of a zone.`, {
        action: 'Use letters, digits, dots, dashes and underscores, 63 at most; not "all".',
      })
    const description = zoneDescription(options.description ?? '')
    context.zones.add({ name, description }, context.clock.nowMs())
    const stores = context.fleet.registry.list().filter((store) => store.zone === name)
    const asOfMs = context.clock.nowMs()
    return makeView({
      title: `Zone ${name} added`,
      text: stores.length > 0 ? '' : `No store is attached to it yet. Next: zone attach ${quoteWord(name)} STORE.`,
      tone: 'good',
      fields: [
        { label: 'Description', value: description || UNKNOWN },
        { label: 'Stores', value: stores.map((store) => store.name).join(', ') || 'none' },
      ],
      asOfMs,
      json: { name, description, stores: stores.map((store) => store.name), asOf: formatTime(asOfMs) },
    })
  },
})

/** Returns the description of a zone. Throws `invalid-input` when it is too long. */
export function zoneDescription(text: string): string {
  if (text.length <= ZONE_DESCRIPTION_MAX) return text
  throw problem('invalid-input', `The description of a zone has at most ${ZONE_DESCRIPTION_MAX} characters.`, { action: 'Write a shorter one.' })
}
