// What names a store that is to be removed, and how it names another one afterwards: sync policies, bindings of instances, and the origins in the
// configurations of other agents, which only their operators can change.

import type { Image } from '../../../../protocol/images/image.ts'
import { problem } from '../../../../protocol/problems.ts'
import type { Store } from '../../../../protocol/store.ts'
import { parseAgentUrl } from '../../../fleet/connectivity.ts'
import type { Policy } from '../../../policies/policy.ts'
import { policyWords } from '../../../policies/policy.ts'
import { HYPERVISORS_MAX } from '../../../hypervisors/hypervisors.ts'
import type { Observation } from '../../../fleet/judge.ts'
import type { StoreRecord } from '../../../fleet/registry.ts'
import type { ChecklistItem } from '../../../../protocol/views/view.ts'
import type { CommandContext } from '../../command.ts'
import { askStore, gapNotes } from '../../select.ts'
import { list } from '../delete/delete-checks.ts'
import type { LeavingImage, Remaining } from '../delete/delete-copies.ts'

/** The policies that follow a store or keep copies in it. */
export function policiesOf({ policies }: Pick<CommandContext, 'policies'>, store: StoreRecord): Policy[] {
  const is = (name: string): boolean => name.toLowerCase() === store.name.toLowerCase()
  return policies.list().filter(({ rule, scope }) => (rule.kind === 'follow' && is(rule.source)) || (scope.kind === 'store' && is(scope.store)))
}

/** A policy that names a removed store would fail at each run, so it is changed first, or with `target`. */
export function policyCheck(store: StoreRecord, named: readonly Policy[], target: StoreRecord | undefined): ChecklistItem {
  const label = `Policies that name ${store.name}`
  if (named.length === 0) return { label, passed: true, detail: 'none' }
  const words = list(named.map((policy) => `${policy.name}, which ${policyWords(policy)}`))
  if (!target) return { label, passed: false, detail: `${words}; add repoint-to=S to let them name another store, or run policy edit or policy delete` }
  const looping = named.filter(({ rule, scope }) => rule.kind === 'follow' && scope.kind === 'store' && [rule.source, scope.store].includes(target.name))
  return looping.length > 0
    ? { label, passed: false, detail: `${list(looping.map(({ name }) => name))} would copy ${target.name} to itself; run policy edit or policy delete first` }
    : { label, passed: true, detail: `${words}; they will name ${target.name} instead` }
}

/** Which hypervisors lose their store, or get the target instead. */
export function hypervisorCheck({ hypervisors }: Pick<CommandContext, 'hypervisors'>, store: StoreRecord, target: StoreRecord | undefined): ChecklistItem {
  const label = `Hypervisors bound to ${store.name}`
  const bound = hypervisors.of(store.name)
  if (bound.length === 0) return { label, passed: true, detail: 'none' }
  const room = target ? HYPERVISORS_MAX - hypervisors.of(target.name).length : 0
  if (target && bound.length > room) return { label, passed: false, detail: `${list(bound)}; ${target.name} has room for ${room}: run store unbind first` }
  return {
    label,
    passed: true,
    detail: target
      ? `${list(bound)}; they are bound to ${target.name} instead`
      : `${list(bound)}: they have no store afterwards; add repoint-to=S to bind them to another one`,
  }
}

/** An origin in the configuration of another agent. */
export interface NamedOrigin {
  /** The store whose agent has it. */
  readonly store: string
  readonly name: string
  readonly url: string
}

/** The origins of the stores that stay, as their agents describe them. A store that does not answer is a note. */
export async function findOrigins(context: CommandContext, staying: readonly StoreRecord[]): Promise<{ origins: NamedOrigin[]; gaps: string[] }> {
  const contacts = await context.fleet.contactAll(staying, (agent) => agent.store.get())
  const origins = contacts.flatMap((contact) =>
    contact.kind === 'answered' ? (contact.value.origins ?? []).map(({ name, url }) => ({ store: contact.store.name, name, url })) : [],
  )
  return { origins, gaps: gapNotes(contacts, 'its origins') }
}

/** The origins that name a store, with the line to write: the bot cannot change the configuration of an agent. */
export function originCheck(seen: Pick<Observation, 'record' | 'store'>, origins: readonly NamedOrigin[], target: StoreRecord | undefined): ChecklistItem {
  const { record, store } = seen
  const urls = new Set([record.url, ...networkUrls(store)].map((url) => parseAgentUrl(url)))
  const named = origins.filter(({ url }) => urls.has(parseAgentUrl(url)))
  const label = `Origins that name ${record.name}`
  if (named.length === 0) return { label, passed: true, detail: 'none' }
  const words = named.map(
    ({ store: other, name, url }) =>
      `in the configuration of ${other} (/etc/slipway/${other}.toml), [[origins]] with name = "${name}" has url = "${url}": ${
        target ? `write url = "${target.url}" and a token of ${target.name}` : 'remove it, or write the address of another store'
      }, then restart the agent`,
  )
  return { label, passed: true, detail: list(words) }
}

function networkUrls(store: Store | null): string[] {
  const networks = store?.networks
  return networks ? [...networks.listen.urls, ...networks.data.urls, ...networks.sync.urls] : []
}

/** An instance that uses an image of a removed store. */
export interface MovedBinding {
  readonly image: Image
  readonly instance: string
}

/** Which bindings the target gets. Those of the removed store stay, since instances read from it until they are moved. */
export function bindingCheck(store: StoreRecord, moved: readonly MovedBinding[], target: StoreRecord): ChecklistItem {
  const label = `Bindings of ${store.name}`
  if (moved.length === 0) return { label, passed: true, detail: 'none' }
  const words = list(moved.map(({ image, instance }) => `${image.name} for ${instance}`))
  return {
    label,
    passed: true,
    detail: `${words}: ${target.name} binds its copies to these instances; the bindings of ${store.name} stay until the instances read from ${target.name}`,
  }
}

/** Binds the copies of the target to the instances. Throws `not-found` when the target has no copy, and what the agent refuses. */
export async function moveBindings(context: CommandContext, moved: readonly MovedBinding[], target: StoreRecord, remaining: Remaining): Promise<void> {
  for (const { image, instance } of moved) {
    const copy = remaining.copiesOf(image).find(({ store }) => store === target.name)
    if (!copy)
      throw problem('not-found', `${target.name} has no undamaged copy of ${image.name}, which ${instance} uses.`, { action: 'Run the command again.' })
    await askStore(context, target, (agent) => agent.images.bind(copy.id, instance))
  }
}

/** Every binding of the images of a store. */
export function bindingsOf(leaving: readonly LeavingImage[]): MovedBinding[] {
  return leaving.flatMap(({ image }) => image.bindings.map((instance) => ({ image, instance })))
}
