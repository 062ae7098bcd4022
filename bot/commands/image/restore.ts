// `image restore I…`: restores deleted images. One failure does not keep the others in the recycle bin.

import type { Problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { plural } from '../../views/phrases.ts'
import { makeView } from '../../views/view.ts'
import type { View } from '../../views/view.ts'
import type { CommandContext } from '../command.ts'
import { defineCommand } from '../command.ts'
import { answerOf, stoppedProblem } from '../select.ts'
import { oneImage } from './find.ts'
import type { FoundImage } from './find.ts'
import { IMAGE_COLUMNS, imageJson, imageRow, imageView } from './image-rows.ts'

export const imageRestore = defineCommand({
  noun: 'image',
  verb: 'restore',
  summary: 'Restores images from the recycle bin',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'I', about: 'name or id of a deleted image', subject: 'deleted-image', many: true }],
  options: { store: { about: 'the store whose recycle bin holds it', value: 'S', subject: 'store' } },
  examples: ['image restore debian-12', 'image restore debian-11 debian-12 store=edge-a'],
  async run(context, { targets, options }) {
    const found = await Promise.all([...new Set(targets)].map((target) => oneImage(context, target, options.store, 'bin')))
    const [only] = found
    if (only && found.length === 1) return restoreOne(context, only)
    return restoreMany(context, found)
  },
})

async function restoreOne(context: CommandContext, found: FoundImage): Promise<View> {
  const image = answerOf(await context.fleet.contact(found.store, (agent) => agent.images.restore(found.image.id)))
  return imageView(`Image ${image.name} restored`, { ...found, image }, context.clock.nowMs())
}

async function restoreMany(context: CommandContext, found: readonly FoundImage[]): Promise<View> {
  const restored: FoundImage[] = []
  const failed: { readonly one: FoundImage; readonly error: Problem }[] = []
  for (const one of found) {
    const contact = await context.fleet.contact(one.store, (agent) => agent.images.restore(one.image.id))
    if (contact.kind === 'answered') restored.push({ ...one, image: contact.value })
    else failed.push({ one, error: contact.kind === 'refused' ? contact.problem : stoppedProblem(contact).problem })
  }
  const asOfMs = context.clock.nowMs()
  return makeView({
    outcome: failed.length === 0 ? 'done' : 'failed',
    title: failed.length === 0 ? `Restored ${plural(restored.length, 'image')}` : `Restored only ${restored.length} of ${plural(found.length, 'image')}`,
    tone: failed.length === 0 ? 'good' : 'bad',
    columns: restored.length === 0 ? [] : IMAGE_COLUMNS,
    rows: restored.map(imageRow),
    notes: failed.map(({ one, error }) => `${one.image.name} was not restored: ${error.detail} ${error.action}`),
    asOfMs,
    json: {
      items: restored.map(imageJson),
      failed: failed.map(({ one, error }) => ({ store: one.store.name, id: one.image.id, name: one.image.name, error })),
      asOf: formatTime(asOfMs),
    },
  })
}
