// Decides whether a command may run, once, before it is dispatched. Someone who has the role in some stores only gets a fleet of these stores: whatever the command
// does, it cannot reach another one.

import { roleIncludes } from '../../protocol/access.ts'
import type { Role } from '../../protocol/access.ts'
import { problem } from '../../protocol/problems.ts'
import type { Command, CommandActor, CommandContext, CommandInput } from './command.ts'
import { spelled } from './record.ts'
import type { Registry, StorePlace, StoreRecord } from '../fleet/registry.ts'

/**
 * Commands that act on single stores and on nothing else of the bot, so that a role in these stores is enough. Every other command needs its role for the
 * whole fleet.
 */
const STORE_COMMANDS: ReadonlySet<string> = new Set([
  ...['edit', 'enable', 'disable', 'maintenance', 'reconnect', 'evidence', 'reconcile', 'cleanup'].map((verb) => `store ${verb}`),
  ...['upload', 'add', 'edit', 'sync', 'migrate', 'delete', 'purge', 'restore', 'protect', 'unprotect'].map((verb) => `image ${verb}`),
  ...['grant', 'revoke', 'bind', 'unbind', 'link', 'export'].map((verb) => `image ${verb}`),
  ...['link', 'delete'].map((verb) => `export ${verb}`),
  ...['list', 'add', 'edit', 'delete'].map((verb) => `media-group ${verb}`),
  ...['cancel', 'pause', 'resume', 'retry'].map((verb) => `task ${verb}`),
  'upload cancel',
  ...['run', 'edit', 'pause', 'resume'].map((verb) => `schedule ${verb}`),
  ...['list', 'create', 'revoke', 'rotate'].map((verb) => `token ${verb}`),
  ...['list', 'revoke'].map((verb) => `grant ${verb}`),
  ...['list', 'revoke'].map((verb) => `link ${verb}`),
  ...['list', 'show', 'forget'].map((verb) => `host-key ${verb}`),
  'usage list',
  ...['ack', 'silence', 'unsilence'].map((verb) => `alert ${verb}`),
  ...['list', 'show', 'approve', 'deny', 'cancel'].map((verb) => `approval ${verb}`),
])

/** The context with which the command runs, or the role that the actor has where the command would act. */
export type Permission =
  | { readonly kind: 'permitted'; readonly context: CommandContext }
  /** `where` is the store that the command names, undefined for the whole fleet. */
  | { readonly kind: 'refused'; readonly has: Role; readonly where: string | undefined }

/** The role of an actor in a store, or for the whole fleet. A role for the fleet counts in every store. */
export function roleIn({ role, roleIn: inStore }: CommandActor, store?: Pick<StoreRecord, 'name' | 'zone'>): Role {
  return store && inStore ? inStore(store) : role
}

/** The actor with the role that counts in a store. */
export function actorIn(actor: CommandActor, store: Pick<StoreRecord, 'name' | 'zone'>): CommandActor {
  return { ...actor, role: roleIn(actor, store) }
}

/** Decides for a command as it was parsed; `needs` is its role, or a higher one for a button that says so. */
export function permit(context: CommandContext, command: Command, input: CommandInput, needs: Role = command.role): Permission {
  const { actor, fleet } = context
  const { registry } = fleet
  if (roleIncludes(actor.role, needs)) return { kind: 'permitted', context }
  const refused = (has: Role, where?: string): Permission => ({ kind: 'refused', has, where })
  if (!actor.roleIn || !STORE_COMMANDS.has(spelled(command))) return refused(actor.role)
  const isPermitted = (store: StorePlace): boolean => roleIncludes(roleIn(actor, store), needs)
  if (!registry.places().some(isPermitted)) return refused(actor.role)
  for (const store of namedStores(command, input, registry)) if (!isPermitted(store)) return refused(roleIn(actor, store), store.name)
  const narrow = narrowRegistry(
    registry,
    isPermitted,
    (store) => `${spelled(command)} needs the role ${needs} in ${store.name}; ${actor.name} has ${roleIn(actor, store)}.`,
  )
  return { kind: 'permitted', context: { ...context, fleet: { ...fleet, registry: narrow } } }
}

/** Whether there is anything on which the actor may run a command; help lists only those. */
export function mayRun(context: CommandContext, command: Command): boolean {
  return permit(context, command, { targets: [], options: {}, flags: new Set(), confirm: [], plan: undefined }).kind === 'permitted'
}

/** The registered stores that a command names. One that is named in another way, such as by a part of its UUID, is found by the narrowed registry. */
function namedStores({ targets, options }: Command, input: CommandInput, registry: Registry): StoreRecord[] {
  const isStore = (index: number): boolean => (targets[index] ?? targets.findLast((target) => target.many))?.subject === 'store'
  const names = [
    ...input.targets.filter((_name, index) => isStore(index)),
    ...Object.entries(input.options).flatMap(([key, value]) => (options[key]?.subject === 'store' ? (value ?? '').split(',') : [])),
  ]
  return names.flatMap((name) => registry.find(name.trim()) ?? [])
}

/** A registry of the permitted stores. A store that is not permitted is refused by name rather than being unknown. */
function narrowRegistry(registry: Registry, isPermitted: (store: StorePlace) => boolean, refusal: (store: StoreRecord) => string): Registry {
  const checked = (name: string): void => {
    const store = registry.find(name)
    if (store && !isPermitted(store)) throw problem('forbidden', refusal(store), { action: 'Ask an admin of the bot to run it or to give you the role.' })
  }
  return {
    ...registry,
    list: () => registry.list().filter(isPermitted),
    places: () => registry.places().filter(isPermitted),
    find: (name) => {
      checked(name)
      return registry.find(name)
    },
    add: (store) => {
      throw problem('forbidden', `Adding ${store.name} needs the role admin for the whole fleet.`)
    },
    change: (name, change) => {
      checked(name)
      return registry.change(name, change)
    },
    remove: (name) => {
      checked(name)
      return registry.remove(name)
    },
  }
}
