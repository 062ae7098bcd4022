// `image export I`: writes an image as a file into exports/ of its store; with --download, returns a link to its content at once, and writes no file.

import { CONVERSION_TARGETS } from '../../../protocol/images/export.ts'
import { problem } from '../../../protocol/problems.ts'
import { defineCommand } from '../command.ts'
import { LINK_DURATION, linkSeconds } from '../link-duration.ts'
import { askStore } from '../select.ts'
import { tasksView } from '../task/task-view.ts'
import { parseTarget } from './conversion-target.ts'
import { oneImage } from './find.ts'
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
  flags: { download: 'writes no file, and returns a link to download it at once' },
  examples: ['image export debian-12', 'image export debian-12 as=qcow2', 'image export debian-12 as=vhd --download for=2h'],
  async run(context, { targets, options, flags }) {
    const as = parseTarget(options.as)
    const isDownload = flags.has('download')
    if (options.for !== undefined && !isDownload)
      throw problem('invalid-input', 'for= applies to links only.', {
        action: 'Leave it out, or add --download. export link E creates a link to an exported file.',
      })
    const found = await oneImage(context, targets[0] ?? '', options.store)
    if (isDownload) return downloadLink(context, found, { as, ttlSeconds: linkSeconds(options.for) })
    const task = await askStore(context, found.store, (agent) => agent.images.export(found.image.id, as === undefined ? {} : { as }))
    return tasksView(`Export of ${found.image.name}`, [{ store: found.store.name, task }], context.clock.nowMs(), [
      'image exports lists the file, export link returns a link to download it, export delete deletes it.',
    ])
  },
})
