// `image link I`: a signed link for downloading an image without a token.

import { formatTime } from '../../../protocol/time.ts'
import { makeView } from '../../views/view.ts'
import { formatWireTime } from '../../views/phrases.ts'
import { defineCommand } from '../command.ts'
import { LINK_DURATION, linkSeconds } from '../link-duration.ts'
import { answerOf } from '../select.ts'
import { oneImage } from './find.ts'

export const imageLink = defineCommand({
  noun: 'image',
  verb: 'link',
  summary: 'Returns a link with which anyone can download an image until it expires',
  role: 'uploader',
  effect: 'write',
  targets: [{ name: 'I', about: 'name or id of an image', subject: 'image' }],
  options: { store: { about: 'the store that holds the copy', value: 'S', subject: 'store' }, for: LINK_DURATION },
  examples: ['image link debian-12', 'image link debian-12 for=2h'],
  async run(context, { targets, options }) {
    const ttlSeconds = linkSeconds(options.for)
    const { store, image } = await oneImage(context, targets[0] ?? '', options.store)
    const contact = await context.fleet.contact(store, (agent) => agent.links.create({ kind: 'download', image: image.id, ttlSeconds }))
    const link = answerOf(contact)
    const curl = `curl -fSsOJ '${link.url}'`
    return makeView({
      title: `Link to download ${image.name} from ${store.name}`,
      text: 'Anyone who has this link can read the image. Share it only with the person who downloads.',
      isPrivate: true,
      fields: [
        { label: 'Link', value: link.url },
        { label: 'Valid until', value: formatWireTime(link.expiresAt) },
        { label: 'With curl', value: curl },
      ],
      asOfMs: contact.asOfMs,
      json: { store: store.name, image: image.id, ...link, curl, asOf: formatTime(contact.asOfMs) },
    })
  },
})
