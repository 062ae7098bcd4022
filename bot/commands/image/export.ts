// `image export I`: writes an image as a file into exports/ of its store; with --download, returns a link to its content at once, and writes no file.

import { CONVERSION_TARGETS } from '../../../protocol/images/export.ts'
import type { ConversionTarget } from '../../../protocol/images/export.ts'
import { problem } from '../../../protocol/problems.ts'
import type { CommandContext } from '../command.ts'
import { defineCommand } from '../command.ts'
import { LINK_DURATION, linkSeconds } from '../link-duration.ts'
import { askStore } from '../select.ts'
import { tasksView } from '../task/task-view.ts'
import { formatTime } from '../../../protocol/time.ts'
import { formatBytes } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { View } from '../../../protocol/views/view.ts'
import { parseTarget } from './conversion-target.ts'
import { oneImage } from './find.ts'
import type { FoundImage } from './find.ts'
import { downloadLink } from './link.ts'

export const imageExport = defineCommand({
  noun: 'image',
  verb: 'export',
  summary: 'Writes an image as a file into exports/ of its store, or returns a link to download it at once',
  role: 'operator',
  effect: 'write',
  targets: [{ name: 'I', about: 'name or id of an image', subject: 'image' }],
  options: {
    as: { about: `converts it: ${CONVERSION_TARGETS.join(', ')}; without it, the file is as it was uploaded`, value: 'FORMAT' },
    store: { about: 'the store that holds the copy', value: 'S', subject: 'store' },
    for: LINK_DURATION,
  },
  flags: { download: 'writes no file, and returns a link to download it at once', 'dry-run': 'only shows the plan' },
  examples: [
    'image export debian-12',
    'image export debian-12 as=qcow2',
    'image export debian-12 as=vhd --download for=2h',
    'image export debian-12 as=raw --dry-run',
  ],
  async run(context, { targets, options, flags }) {
    const as = parseTarget(options.as)
    const isDownload = flags.has('download')
    if (options.for !== undefined && !isDownload)
      throw problem('invalid-input', 'for= applies to links only.', {
        action: 'Leave it out, or add --download. export link E creates a link to an exported file.',
      })
    if (isDownload && flags.has('dry-run'))
      throw problem('invalid-input', '--dry-run applies to files only: a link writes nothing.', { action: 'Leave out --dry-run or --download.' })
    const found = await oneImage(context, targets[0] ?? '', options.store)
    if (isDownload) return downloadLink(context, found, { as, ttlSeconds: linkSeconds(options.for) })
    if (flags.has('dry-run')) return planOf(context, found, as)
    const task = await askStore(context, found.store, (agent) => agent.images.export(found.image.id, as === undefined ? {} : { as }))
    return tasksView(`Export of ${found.image.name}`, [{ store: found.store.name, task }], context.clock.nowMs(), [
      'image exports lists the file, export link returns a link to download it, export delete deletes it.',
    ])
  },
})

/** Shows where the file would be written, how much space it needs, and what speaks against it. */
async function planOf(context: CommandContext, { store, image }: FoundImage, as: ConversionTarget | undefined): Promise<View> {
  const plan = await askStore(context, store, (agent) => agent.images.planExport(image.id, as === undefined ? {} : { as }))
  const { objections, space, path, length } = plan
  const asOfMs = context.clock.nowMs()
  return makeView({
    title: `Export of ${image.name}`,
    tone: objections.length === 0 ? 'plain' : 'bad',
    text: `${objections.length === 0 ? `The file would be ${path} on the mount path of ${store.name}.` : `Not possible now. ${objections.join(' ')}`} Nothing was started.`,
    fields: [
      { label: 'Store', value: store.name },
      { label: 'File', value: path },
      { label: 'Format', value: as ?? `${image.format ?? 'unknown'}, as it was uploaded` },
      { label: 'Length', value: length === null ? 'not known before the end' : formatBytes(length) },
      { label: 'Space', value: `needs at most ${formatBytes(space.neededBytes)}; ${formatBytes(space.availableBytes)} above the reserve` },
    ],
    asOfMs,
    json: { store: store.name, ...plan, asOf: formatTime(asOfMs) },
  })
}
