// `image add url=…|path=… store=… name=…`: imports an image. First the plan of the store: what would be read, how much space it needs, what limits apply.

import type { ImportOrder } from '../../../protocol/client/agent-client.ts'
import { roleIncludes } from '../../../protocol/access.ts'
import type { ImportPlan } from '../../../protocol/images/imports.ts'
import { problem } from '../../../protocol/problems.ts'
import { roleIn } from '../permit.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import type { CommandContext } from '../command.ts'
import { defineCommand } from '../command.ts'
import { quoteOption } from '../../views/quote.ts'
import { CHOICE_OPTIONS, placedImage, storeForImages } from '../choose-store.ts'
import { answerOf, askStore } from '../select.ts'
import { checkPlacement } from '../placement.ts'
import { DRAFT_OPTION_SPECS, DRAFT_OPTIONS, draftOf } from './draft-options.ts'
import { planSummary, planView } from './plan-view.ts'
import { tasksView } from '../task/task-view.ts'

const LOGIN = ['username', 'password', 'token', 'privateKey', 'passphrase', 'hostKey'] as const
/** Those of them that no button may carry. */
const SECRETS = ['password', 'token', 'privateKey', 'passphrase'] as const

export const imageAdd = defineCommand({
  noun: 'image',
  verb: 'add',
  summary: 'Imports an image from an address, or from a path on the node of the store',
  role: 'uploader',
  effect: 'write',
  options: {
    url: { about: 'address of the image file', value: 'URL', shown: withoutQuery },
    path: { about: 'path on the node of the store, instead of url=; for administrators', value: 'PATH' },
    store: { about: 'store to import to', value: 'S', subject: 'store' },
    ...CHOICE_OPTIONS,
    name: { about: 'name of the image', value: 'NAME' },
    ...DRAFT_OPTION_SPECS,
    username: { about: 'user name for the server of the address', value: 'NAME' },
    password: { about: 'password for the server of the address', value: 'PASSWORD', secret: true },
    token: { about: 'bearer token for the server of the address', value: 'TOKEN', secret: true },
    privateKey: { about: 'private key for a login by sftp', value: 'KEY', secret: true },
    passphrase: { about: 'passphrase of the private key', value: 'PASSPHRASE', secret: true },
    hostKey: { about: 'SHA256:… of the host key of an sftp server; replaces the pinned one', value: 'FINGERPRINT' },
  },
  flags: { 'dry-run': 'only shows the plan', start: 'starts without asking (Slack, page)' },
  examples: [
    'image add url=https://mirror.example/debian-12.qcow2 store=edge-a name=debian-12',
    'image add url=https://mirror.example/debian-12.qcow2 name=debian-12 --dry-run',
  ],
  async run(context, { options, flags }) {
    const store = storeForImages(context, options)
    checkPlacement(context, store, placedImage(options))
    const order = orderOf(context, options)
    const title = `Import of ${order.name} to ${store.name}`
    const plan = await planOf(context, store, order, flags.has('dry-run'))
    const again = plan && commandOf(store, options)
    const asks = context.surface !== 'console' && again !== undefined && !flags.has('start')
    if (plan && (flags.has('dry-run') || asks || plan.objections.length > 0)) return planView(context, { title, plan, again, isRun: !flags.has('dry-run') })
    const contact = await context.fleet.contact(store, (agent) => agent.images.import(order))
    const view = tasksView(title, [{ store: store.name, task: answerOf(contact) }], contact.asOfMs, plan ? [planSummary(plan)] : [])
    return view
  },
})

type Options = Readonly<Partial<Record<(typeof DRAFT_OPTIONS)[number] | (typeof LOGIN)[number] | 'labels' | 'url' | 'path' | 'store', string>>>

/** Checks the words of the command. Throws `invalid-input`, and `forbidden` for a path of somebody who is not an administrator. */
function orderOf(context: CommandContext, options: Options): ImportOrder & { readonly name: string } {
  const { url, path } = options
  if ((url === undefined) === (path === undefined))
    throw problem('invalid-input', 'image add needs either url= or path=.', {
      action: 'Write image add url=https://mirror.example/debian-12.qcow2 store=edge-a name=debian-12.',
    })
  // The bot's own token may do more than the person who asks.
  const store = options.store === undefined ? undefined : context.fleet.registry.find(options.store)
  if (path !== undefined && !roleIncludes(roleIn(context.actor, store), 'admin'))
    throw problem('forbidden', 'Importing from a path needs the role admin: it reads files of the node.', {
      action: 'Ask an administrator, or import from an address.',
    })
  const login = Object.fromEntries(LOGIN.flatMap((key) => (options[key] === undefined ? [] : [[key, options[key]]])))
  return { ...draftOf(options, 'image add'), source: url === undefined ? { path } : { url, ...login } }
}

/** Returns the plan of a store. Undefined when the store is slow to tell, because its source is; the import then starts without one. */
async function planOf(context: CommandContext, store: StoreRecord, order: ImportOrder, isNeeded: boolean): Promise<ImportPlan | undefined> {
  if (isNeeded) return askStore(context, store, (agent) => agent.images.planImport(order))
  const contact = await context.fleet.contact(store, (agent) => agent.images.planImport(order))
  return contact.kind === 'stopped' ? undefined : answerOf(contact)
}

/** Returns the command that starts the planned import; undefined when it would contain a secret, which no button may carry. */
function commandOf(store: StoreRecord, options: Options): string | undefined {
  if (SECRETS.some((key) => options[key] !== undefined) || (options.url !== undefined && withoutQuery(options.url) !== options.url)) return undefined
  const words = (['url', 'path', ...DRAFT_OPTIONS, 'labels', 'username', 'hostKey'] as const).flatMap((key) =>
    options[key] === undefined ? [] : [quoteOption(key, options[key])],
  )
  return ['image add', ...words, quoteOption('store', store.name)].join(' ')
}

/** The query of an address is often a signature. */
function withoutQuery(url: string): string {
  const at = url.indexOf('?')
  return at < 0 ? url : `${url.slice(0, at)}?***`
}
