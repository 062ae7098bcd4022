// `image grant I` and `image revoke I`: the rights of a user or a group on an image.

import { GRANT_RIGHTS_DEFAULT, RIGHTS } from '../../../protocol/images/grant.ts'
import type { Right } from '../../../protocol/images/grant.ts'
import { suggestName } from '../../../protocol/nearest.ts'
import { problem } from '../../../protocol/problems.ts'
import { defineCommand } from '../command.ts'
import { askStore } from '../select.ts'
import { oneImage } from './find.ts'
import { imageView } from './list/image-rows.ts'

const TARGETS = [{ name: 'I', about: 'name or id of an image', subject: 'image' }] as const
const GRANTEE = {
  store: { about: 'the store that holds the copy', value: 'S', subject: 'store' },
  user: { about: 'name of a user', value: 'NAME' },
  group: { about: 'name of a group', value: 'NAME' },
} as const

export const imageGrant = defineCommand({
  noun: 'image',
  verb: 'grant',
  summary: 'Gives a user or group rights on an image; only those named, its owner and operators see an image with grants',
  role: 'operator',
  effect: 'write',
  targets: TARGETS,
  options: { ...GRANTEE, rights: { about: `any of ${RIGHTS.join(', ')}; ${GRANT_RIGHTS_DEFAULT.join(',')} by default`, value: 'read,use' } },
  examples: ['image grant debian-12 group=web', 'image grant debian-12 user=ann rights=read,manage'],
  async run(context, { targets, options }) {
    const grantee = granteeOf(options)
    const set = options.rights === undefined ? undefined : parseRights(options.rights)
    const { store, image } = await oneImage(context, targets[0] ?? '', options.store)
    const changed = await askStore(context, store, (agent) => agent.images.grant(image.id, grantee, { set }))
    const notes = image.grants.length === 0 ? ['Until now every viewer could see it. Now only its owner, those named, and operators can.'] : []
    return imageView(`Image ${changed.name} granted to ${grantee}`, { store, image: changed }, context.clock.nowMs(), { notes })
  },
})

export const imageRevoke = defineCommand({
  noun: 'image',
  verb: 'revoke',
  summary: 'Takes all rights on an image from a user or group; after the last grant every viewer sees it',
  role: 'operator',
  effect: 'write',
  targets: TARGETS,
  options: GRANTEE,
  examples: ['image revoke debian-12 user=ann'],
  async run(context, { targets, options }) {
    const grantee = granteeOf(options)
    const { store, image } = await oneImage(context, targets[0] ?? '', options.store)
    if (!image.grants.some(({ subject }) => subject === grantee))
      throw problem('not-found', `Image ${image.name} is not granted to ${grantee}.`, { action: `See its grants with image show ${image.id}.` })
    const changed = await askStore(context, store, (agent) => agent.images.revoke(image.id, grantee))
    const notes = changed.grants.length === 0 ? ['It has no grants any more: every viewer can see it.'] : []
    return imageView(`Image ${changed.name} no longer granted to ${grantee}`, { store, image: changed }, context.clock.nowMs(), { notes })
  },
})

/** Returns who is meant, as grants write it. Throws `invalid-input` unless exactly one is given. */
function granteeOf({ user, group }: { readonly user?: string | undefined; readonly group?: string | undefined }): string {
  if (user !== undefined && group === undefined) return `user:${user}`
  if (group !== undefined && user === undefined) return `group:${group}`
  throw problem('invalid-input', 'Name one user or one group.', { action: 'Add user=NAME or group=NAME.' })
}

function parseRights(text: string): Right[] {
  return text.split(',').map((word) => {
    const right = RIGHTS.find((known) => known === word.trim())
    if (right) return right
    const meant = suggestName(word.trim(), RIGHTS, (name) => name)
    throw problem('invalid-input', `There is no right "${word.trim()}"${meant}`, { action: `Use any of ${RIGHTS.join(', ')}, with commas between them.` })
  })
}
