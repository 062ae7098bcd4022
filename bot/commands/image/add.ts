// `image add url=…|path=… store=… name=…`: imports an image. First the plan of the store: what would be read, how much space it needs, what limits apply.

import type { ImportOrder } from '../../../protocol/client.ts'
import { roleIncludes } from '../../../protocol/access.ts'
import { imageDraftSchema } from '../../../protocol/image.ts'
import type { ImageDraft } from '../../../protocol/image.ts'
import type { ImportPlan } from '../../../protocol/imports.ts'
import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { formatBytes } from '../../views/phrases.ts'
import { makeView } from '../../views/view.ts'
import type { Field, View } from '../../views/view.ts'
import type { CommandContext } from '../command.ts'
import { defineCommand } from '../command.ts'
import { quoteOption } from '../line.ts'
import { answerOf, askStore, oneStore } from '../select.ts'
import { tasksView } from '../task/task-view.ts'

const METADATA = ['name', 'description', 'kind', 'format', 'os', 'cloudInit', 'mediaGroup', 'owner', 'digest'] as const
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
    name: { about: 'name of the image', value: 'NAME' },
    description: { about: 'description', value: 'TEXT' },
    kind: { about: 'system, disk, iso, base, template, snapshot, backup or capture', value: 'KIND' },
    format: { about: 'raw, qcow2, vmdk or iso; compared with what the agent detects', value: 'FORMAT' },
    os: { about: 'operating system', value: 'OS' },
    cloudInit: { about: 'true when it has cloud-init', value: 'true|false' },
    mediaGroup: { about: 'media group', value: 'GROUP' },
    owner: { about: 'owner', value: 'NAME' },
    digest: { about: 'expected sha256:… of the whole file, verified', value: 'DIGEST' },
    username: { about: 'user name for the server of the address', value: 'NAME' },
    password: { about: 'password for the server of the address', value: 'PASSWORD', secret: true },
    token: { about: 'bearer token for the server of the address', value: 'TOKEN', secret: true },
    privateKey: { about: 'private key for a login by sftp', value: 'KEY', secret: true },
    passphrase: { about: 'passphrase of the private key', value: 'PASSPHRASE', secret: true },
    hostKey: { about: 'SHA256:… of the host key of an sftp server; replaces the pinned one', value: 'FINGERPRINT' },
  },
  flags: { 'dry-run': 'only shows the plan', start: 'starts without asking (Slack)' },
  examples: [
    'image add url=https://mirror.example/debian-12.qcow2 store=edge-a name=debian-12',
    'image add url=https://mirror.example/debian-12.qcow2 name=debian-12 --dry-run',
  ],
  async run(context, { options, flags }) {
    const store = oneStore(context, options.store)
    const order = orderOf(context, options)
    const title = `Import of ${order.name} to ${store.name}`
    const plan = await planOf(context, store, order, flags.has('dry-run'))
    const again = plan && commandOf(store, options)
    const asks = context.surface === 'slack' && again !== undefined && !flags.has('start')
    if (plan && (flags.has('dry-run') || asks || plan.objections.length > 0)) return planView(context, { title, plan, again, isRun: !flags.has('dry-run') })
    const contact = await context.fleet.contact(store, (agent) => agent.images.import(order))
    const view = tasksView(title, [{ store: store.name, task: answerOf(contact) }], contact.asOfMs, plan ? [summaryOf(plan)] : [])
    return view
  },
})

type Options = Readonly<Partial<Record<(typeof METADATA)[number] | (typeof LOGIN)[number] | 'url' | 'path' | 'store', string>>>

/** Checks the words of the command. Throws `invalid-input`, and `forbidden` for a path of somebody who is not an administrator. */
function orderOf(context: CommandContext, options: Options): ImportOrder & { readonly name: string } {
  const { url, path } = options
  if ((url === undefined) === (path === undefined))
    throw problem('invalid-input', 'image add needs either url= or path=.', {
      action: 'Write image add url=https://mirror.example/debian-12.qcow2 store=edge-a name=debian-12.',
    })
  // The bot's own token may do more than the person who asks.
  if (path !== undefined && !roleIncludes(context.actor.role, 'admin'))
    throw problem('forbidden', 'Importing from a path needs the role admin: it reads files of the node.', {
      action: 'Ask an administrator, or import from an address.',
    })
  const login = Object.fromEntries(LOGIN.flatMap((key) => (options[key] === undefined ? [] : [[key, options[key]]])))
  return { ...draftOf(options), source: url === undefined ? { path } : { url, ...login } }
}

function draftOf(options: Options): ImageDraft {
  const given = Object.fromEntries(
    METADATA.flatMap((key) =>
      options[key] === undefined ? [] : [[key, key === 'cloudInit' ? ({ true: true, false: false }[options[key]] ?? options[key]) : options[key]]],
    ),
  )
  const parsed = imageDraftSchema.safeParse(given)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  if (given['name'] === undefined) throw problem('invalid-input', 'image add needs name=.', { action: 'Add name=NAME.' })
  throw problem('invalid-input', `${issue?.path.join('.') ?? 'An option'}: ${issue?.message ?? 'not valid'}.`, {
    action: 'Correct the value and run the command again.',
  })
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
  const words = (['url', 'path', ...METADATA, 'username', 'hostKey'] as const).flatMap((key) =>
    options[key] === undefined ? [] : [quoteOption(key, options[key])],
  )
  return ['image add', ...words, quoteOption('store', store.name)].join(' ')
}

interface Shown {
  readonly title: string
  readonly plan: ImportPlan
  readonly again: string | undefined
  /** The import was asked for, and not only its plan. */
  readonly isRun: boolean
}

function planView(context: CommandContext, { title, plan, again, isRun }: Shown): View {
  const isPossible = plan.objections.length === 0
  const asOfMs = context.clock.nowMs()
  const start = again !== undefined && isPossible ? [{ label: 'Import', command: `${again} --start`, role: 'uploader', style: 'primary' } as const] : []
  return makeView({
    title,
    outcome: isRun ? 'refused' : 'done',
    tone: isPossible ? 'plain' : 'bad',
    text: isPossible ? `${summaryOf(plan)} Nothing was started.` : `Not possible now. ${plan.objections.join(' ')} Nothing was started.`,
    fields: planFields(plan),
    actions: start,
    asOfMs,
    json: { ...plan, asOf: formatTime(asOfMs) },
  })
}

function planFields({ source, image, space, limits }: ImportPlan): Field[] {
  const needs = space.neededBytes === null ? 'not known before the end' : formatBytes(space.neededBytes)
  return [
    { label: 'From', value: source.location },
    { label: 'Length', value: source.length === null ? 'the source does not tell' : formatBytes(source.length) },
    { label: 'After a cut', value: source.canResume ? 'continues where it ended' : 'reads from the beginning' },
    {
      label: 'Image',
      value: [image.name, ...(image.kind ? [image.kind] : []), ...(image.format ? [image.format] : []), ...(image.owner ? [`of ${image.owner}`] : [])].join(
        ', ',
      ),
    },
    { label: 'Digest', value: image.digest ?? 'none given, so only the inspection decides' },
    { label: 'Space', value: `needs at most ${needs}; ${formatBytes(space.availableBytes)} above the reserve` },
    {
      label: 'Limits',
      value: `${formatBytes(limits.lengthMax)} for an image${limits.imagesPerOwnerMax > 0 ? `, ${limits.imagesPerOwnerMax} images for an owner` : ''}`,
    },
  ]
}

function summaryOf({ source, space }: ImportPlan): string {
  const length = source.length === null ? 'a length that the source does not tell' : formatBytes(source.length)
  return `Reads ${length} from ${source.location}; the store has ${formatBytes(space.availableBytes)} above its reserve.`
}

/** The query of an address is often a signature. */
function withoutQuery(url: string): string {
  const at = url.indexOf('?')
  return at < 0 ? url : `${url.slice(0, at)}?***`
}
