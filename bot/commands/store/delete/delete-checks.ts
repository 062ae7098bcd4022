// The checklist of `store delete`: what runs in a store, what it holds, and what happens to each.

import type { AgentClient } from '../../../../protocol/client/agent-client.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import type { Task } from '../../../../protocol/task.ts'
import { STORE_IMAGES_MAX } from '../../../fleet/catalogue/catalogue.ts'
import type { HeldImage } from '../../../fleet/catalogue/held-image.ts'
import type { Observation } from '../../../fleet/judge.ts'
import type { ChecklistItem } from '../../../../protocol/views/view.ts'
import { formatAt, isEnded, plural } from '../../../../protocol/views/phrases.ts'
import type { CommandContext } from '../../command.ts'

/** Images of a store that the checklist reads. */
export const IMAGES_READ_MAX = 10_000
/** Images, and instances of one image, that the checklist names; the rest is counted. */
const NAMED_MAX = 10

export interface StoreChecks {
  readonly items: readonly ChecklistItem[]
  /** Ids of images that instances use: when they change, the plan has changed. */
  readonly bound: readonly string[]
  /** Null when the store did not say; at most IMAGES_READ_MAX. */
  readonly images: readonly Image[] | null
  /** What the catalogue knows of a store that did not say; null when it answered, or when nothing is known. */
  readonly held: readonly HeldImage[] | null
}

/** Asks a store what depends on it; with `isUnreachableAllowed` a store that does not answer passes. */
export async function checkStore(context: CommandContext, seen: Observation, isUnreachableAllowed: boolean): Promise<StoreChecks> {
  const { name } = seen.record
  const blind = (reason: string): StoreChecks => {
    const known = context.catalogue.of(name)
    const detail = isUnreachableAllowed
      ? `${name} does not answer; its tasks ${known ? 'are' : 'and images are'} unknown`
      : `${name} does not answer (${reason}); start it again, or add --unreachable`
    const contact = { label: `Contact with ${name}`, passed: isUnreachableAllowed, detail }
    if (!known) return { items: [contact], bound: [], images: null, held: null }
    const held = context.catalogue.list(known, { isBin: false, isAll: true, limit: STORE_IMAGES_MAX })
    const count = held.length + known.beyond
    const age = known.asOfMs === null ? 'as far as the bot had read them' : `as of ${formatAt(known.asOfMs)}`
    const images = { label: `Images in ${name}`, passed: true, detail: count === 0 ? `none, ${age}` : `${age}, ${imagesText(held, count)}` }
    return { items: [contact, images], bound: [], images: null, held }
  }
  const { store } = seen
  if (!store) return blind(seen.finding)
  const contact = await context.fleet.contact(seen.record, async (agent) => {
    const [tasks, images] = await Promise.all([openTasks(agent), readImages(agent)])
    return { tasks, images }
  })
  if (contact.kind !== 'answered') return blind(contact.kind === 'stopped' ? contact.reason : contact.problem.detail)
  const running = contact.value.tasks
  const images = contact.value.images.filter(({ status }) => status !== 'deleting')
  const bound = images.filter(({ bindings }) => bindings.length > 0)
  const uploads = store.uploads.active
  const count = Math.max(images.length, contact.value.images.length < IMAGES_READ_MAX ? 0 : store.images.available + store.images.other)
  return {
    items: [
      { label: `Contact with ${name}`, passed: true, detail: 'it answers' },
      {
        label: `Tasks in ${name}`,
        passed: running.length === 0,
        detail: running.length === 0 ? 'none' : `${list(running.map((task) => `${task.id} (${task.kind})`))}; wait, or run task cancel`,
      },
      { label: `Uploads to ${name}`, passed: true, detail: uploads === 0 ? 'none' : `${plural(uploads, 'upload')} active: they continue without the bot` },
      { label: `Images in ${name}`, passed: true, detail: count === 0 ? 'none' : imagesText(images, count) },
      { label: `Images of ${name} in use`, passed: true, detail: bound.length === 0 ? 'none' : boundText(bound) },
    ],
    bound: bound.map(({ id }) => id),
    images,
    held: null,
  }
}

/** Returns the tasks that have not ended, those that run first. */
async function openTasks(agent: AgentClient): Promise<Task[]> {
  // order: a queued task that begins meanwhile is found among those that run.
  const queued = await agent.tasks.list({ state: 'queued', limit: 1000 })
  const running = await agent.tasks.list({ state: 'running', limit: 1000 })
  const open = new Map([...running.items, ...queued.items].map((task) => [task.id, task]))
  return [...open.values()].filter(({ state }) => !isEnded(state))
}

async function readImages(agent: AgentClient): Promise<Image[]> {
  const images: Image[] = []
  for await (const image of agent.images.all()) if (images.push(image) >= IMAGES_READ_MAX) break
  return images
}

function imagesText(images: readonly Pick<Image, 'name'>[], count: number): string {
  const named = list(
    images.map(({ name }) => name),
    count,
  )
  return `${plural(count, 'image')} (${named}): they stay on the disk of the store, but the bot no longer lists, syncs or watches them until the store is added again`
}

function boundText(bound: readonly Image[]): string {
  const named = list(bound.map(({ name, bindings }) => `${name} by ${list(bindings)}`))
  return `${named}: these instances keep reading from the store, but the bot no longer reports when it fails`
}

/** The first NAMED_MAX names, and the number of the others. */
export function list(names: readonly string[], count: number = names.length): string {
  const more = count - Math.min(names.length, NAMED_MAX)
  return `${names.slice(0, NAMED_MAX).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}
