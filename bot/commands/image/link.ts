// `image link I`: a signed link for downloading an image without a token, in its own format or converted.

import type { Link } from '../../../protocol/access.ts'
import { CONVERSION_TARGETS } from '../../../protocol/images/export.ts'
import type { ConversionTarget } from '../../../protocol/images/export.ts'
import { formatTime } from '../../../protocol/time.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { View } from '../../../protocol/views/view.ts'
import { formatWireTime } from '../../../protocol/views/phrases.ts'
import type { CommandContext } from '../command.ts'
import { defineCommand } from '../command.ts'
import { LINK_DURATION, linkSeconds } from '../link-duration.ts'
import { answerOf } from '../select.ts'
import { parseTarget } from './conversion-target.ts'
import { oneImage } from './find.ts'
import type { FoundImage } from './find.ts'

export const imageLink = defineCommand({
  noun: 'image',
  verb: 'link',
  summary: 'Returns a link with which anyone can download an image until it expires',
  role: 'uploader',
  effect: 'write',
  targets: [{ name: 'I', about: 'name or id of an image', subject: 'image' }],
  options: {
    as: { about: `converts it while it is downloaded: ${CONVERSION_TARGETS.join(', ')}`, value: 'FORMAT' },
    store: { about: 'the store that holds the copy', value: 'S', subject: 'store' },
    for: LINK_DURATION,
  },
  examples: ['image link debian-12', 'image link debian-12 for=2h', 'image link debian-12 as=vmdk'],
  async run(context, { targets, options }) {
    const ttlSeconds = linkSeconds(options.for)
    const as = parseTarget(options.as)
    return downloadLink(context, await oneImage(context, targets[0] ?? '', options.store), { as, ttlSeconds })
  },
})

/** Creates a link to the content of an image. */
export async function downloadLink(
  context: CommandContext,
  { store, image }: FoundImage,
  { as, ttlSeconds }: { readonly as: ConversionTarget | undefined; readonly ttlSeconds: number },
): Promise<View> {
  const contact = await context.fleet.contact(store, (agent) => agent.links.create({ kind: 'download', image: image.id, ttlSeconds }))
  const link = answerOf(contact)
  const url = as === undefined ? link.url : `${link.url}&as=${as}`
  return linkView({ store: store.name, what: image.name, subject: { image: image.id } }, { ...link, url }, contact.asOfMs)
}

/** What a link is for. */
export interface LinkedThing {
  readonly store: string
  readonly what: string
  /** Its id, for `--json`. */
  readonly subject: Readonly<Record<string, string>>
}

/** Returns the answer that shows a download link to the person who asked for it. */
export function linkView({ store, what, subject }: LinkedThing, link: Link, asOfMs: number): View {
  const curl = `curl -fSsOJ '${link.url}'`
  return makeView({
    title: `Link to download ${what} from ${store}`,
    text: 'Anyone who has this link can read the image. Share it only with the person who downloads.',
    isPrivate: true,
    fields: [
      { label: 'Link', value: link.url },
      { label: 'Valid until', value: formatWireTime(link.expiresAt) },
      { label: 'With curl', value: curl },
    ],
    asOfMs,
    json: { store, ...subject, ...link, curl, asOf: formatTime(asOfMs) },
  })
}
