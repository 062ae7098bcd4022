// Finds the export that people mean, by id, unique part of an id, name of the file, or name of the image.

import type { AgentClient } from '../../../protocol/client/agent-client.ts'
import type { Export } from '../../../protocol/images/export.ts'
import { problem } from '../../../protocol/problems.ts'
import { actorIn } from '../permit.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import type { CommandActor, CommandContext } from '../command.ts'
import { seenImageIds } from '../image/list/seen-images.ts'
import { gapNotes, isPartOf, oneStore } from '../select.ts'

/** Exports of one store that a search or a list reads. */
export const EXPORTS_READ_MAX = 10_000

export interface FoundExport {
  readonly store: StoreRecord
  readonly export: Export
}

/** The one export that the text names. Throws `not-found` or `conflict`. */
export async function oneExport(context: CommandContext, text: string, storeName: string | undefined): Promise<FoundExport> {
  const stores = storeName === undefined ? context.fleet.registry.list() : [oneStore(context, storeName)]
  const contacts = await context.fleet.contactAll(stores, async (agent, store) => {
    const found: Export[] = []
    let seen = 0
    for await (const one of seenExports(actorIn(context.actor, store), agent)) {
      if (one.id === text || one.name === text || one.imageName === text || one.image === text || isPartOf(text, one.id)) found.push(one)
      if (++seen >= EXPORTS_READ_MAX) break
    }
    return found
  })
  const found = contacts.flatMap((contact) => (contact.kind === 'answered' ? contact.value.map((one) => ({ store: contact.store, export: one })) : []))
  const [first] = found
  if (!first) throw problem('not-found', [`No export "${text}".`, ...gapNotes(contacts, 'its exports')].join(' '), { action: 'List them with image exports.' })
  if (found.length === 1) return first
  const list = found.map(({ store, export: one }) => `${one.id} (${one.name}) in ${store.name}`).join(', ')
  throw problem('conflict', `${found.length} exports match "${text}": ${list}.`, { action: 'Use the id.' })
}

/** Yields the exports of the images that somebody sees. */
export async function* seenExports(actor: CommandActor, agent: AgentClient): AsyncGenerator<Export> {
  const seen = await seenImageIds(actor, agent)
  for await (const one of agent.exports.all()) if (seen?.has(one.image) ?? true) yield one
}
