// Upload links as rows, fields and JSON, and the one that people mean. A link itself is shown once, to the person who asked for it.

import { roleIncludes } from '../../../protocol/access.ts'
import type { AgentClient } from '../../../protocol/client/agent-client.ts'
import { personOfName } from '../../../protocol/on-behalf.ts'
import { problem } from '../../../protocol/problems.ts'
import { formatSize } from '../../../protocol/units.ts'
import type { UploadLink, UploadLinkState } from '../../../protocol/upload-link.ts'
import { roleIn } from '../permit.ts'
import type { Contact } from '../../fleet/fleet.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { formatWireTime, UNKNOWN } from '../../../protocol/views/phrases.ts'
import type { Column, Field, Row, Tone } from '../../../protocol/views/view.ts'
import { allPages } from '../all-pages.ts'
import type { CommandContext } from '../command.ts'
import { gapNotes, isPartOf, oneStore } from '../select.ts'

export interface FoundLink {
  readonly store: StoreRecord
  readonly link: UploadLink
}

export const LINK_COLUMNS: readonly Column[] = [
  { key: 'name', label: 'Image', isWhole: true },
  { key: 'store', label: 'Store', isWhole: true },
  { key: 'state', label: 'State' },
  { key: 'by', label: 'By' },
  { key: 'expires', label: 'Begin before' },
  { key: 'max', label: 'Largest file', align: 'right', isMinor: true },
  { key: 'created', label: 'Created', isMinor: true },
  { key: 'id', label: 'Id', isWhole: true },
]

/** What each state means, in words. */
export const LINK_STATES: Readonly<Record<UploadLinkState, string>> = {
  open: 'waiting for the file',
  used: 'uploading',
  completed: 'completed',
  cancelled: 'upload deleted',
  expired: 'expired',
  revoked: 'revoked',
}

export function linkTone(state: UploadLinkState): Tone {
  if (state === 'completed') return 'good'
  return state === 'open' || state === 'used' ? 'plain' : 'warning'
}

/** Returns all upload links of one agent, oldest first. */
export function linksOf(agent: AgentClient): Promise<UploadLink[]> {
  return allPages((query) => agent.links.list(query))
}

export function linkRow({ store, link }: FoundLink): Row {
  return {
    tone: linkTone(link.state),
    cells: {
      name: link.name ?? UNKNOWN,
      store: store.name,
      state: LINK_STATES[link.state],
      by: link.createdBy,
      expires: formatWireTime(link.expiresAt),
      max: link.maxLength === null ? UNKNOWN : formatSize(link.maxLength),
      created: formatWireTime(link.createdAt),
      id: link.id,
    },
  }
}

export function linkFields({ store, link }: FoundLink): Field[] {
  return [
    { label: 'Id', value: link.id },
    { label: 'Store', value: store.name },
    { label: 'Image', value: link.name ?? 'named like the file' },
    { label: 'Created', value: `${formatWireTime(link.createdAt)} by ${link.createdBy}` },
  ]
}

/** Returns the links of all stores that answered which the person may see: below operator only those that they asked for, as others may be for hidden images. */
export function shownLinks({ actor }: CommandContext, contacts: readonly Contact<UploadLink[]>[]): FoundLink[] {
  return contacts.flatMap((contact) => {
    if (contact.kind !== 'answered') return []
    const { store, value } = contact
    const seesAll = roleIncludes(roleIn(actor, store), 'operator')
    return value.filter(({ createdBy }) => seesAll || personOfName(createdBy) === actor.name).map((link) => ({ store, link }))
  })
}

/** The one upload link with this id, part of an id, or name of its image. Throws `not-found` or `conflict`. */
export async function oneLink(context: CommandContext, text: string, storeName: string | undefined): Promise<FoundLink> {
  const stores = storeName === undefined ? context.fleet.registry.list() : [oneStore(context, storeName)]
  if (stores.length === 0) oneStore(context, undefined)
  const contacts = await context.fleet.contactAll(stores, linksOf)
  const all = shownLinks(context, contacts)
  const byName = all.filter(({ link }) => link.name === text && (link.state === 'open' || link.state === 'used'))
  const found = byName.length > 0 ? byName : all.filter(({ link }) => isPartOf(text, link.id))
  const [first] = found
  if (!first)
    throw problem('not-found', [`No upload link "${text}".`, ...gapNotes(contacts, 'its upload links')].join(' '), { action: 'List them with link list.' })
  if (found.length === 1) return first
  const list = found.map(({ store, link }) => `${link.id} in ${store.name}`).join(', ')
  throw problem('conflict', `${found.length} upload links match "${text}": ${list}.`, { action: 'Use the id.' })
}
