// `image upload`: with a path (console) uploads the file from this machine, resuming where an earlier run stopped; without a path
// returns an upload link for the person who has the file.

import type { Image } from '../../../protocol/images/image.ts'
import { problem, ProblemError } from '../../../protocol/problems.ts'
import type { Task } from '../../../protocol/task.ts'
import { formatTime } from '../../../protocol/time.ts'
import { formatSize, parseSize } from '../../../protocol/units.ts'
import { firstUploadLines } from '../../../protocol/upload-lines.ts'
import { advise } from '../../fleet/advice.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { Action, View } from '../../../protocol/views/view.ts'
import { asSentence, formatWireTime } from '../../../protocol/views/phrases.ts'
import type { CommandContext, FileOrder, SentFile } from '../command.ts'
import { defineCommand } from '../command.ts'
import { LINK_DURATION, linkSeconds } from '../link-duration.ts'
import { CHOICE_OPTIONS, placedImage, storeForImages } from '../choose-store.ts'
import { answerOf, askStore } from '../select.ts'
import { quoteOption } from '../../views/quote.ts'
import { checkPlacement } from '../placement.ts'
import { DRAFT_OPTION_SPECS, DRAFT_OPTIONS, draftOf } from './draft-options.ts'
import { parseLabels } from './edit-options.ts'
import { imageView } from './list/image-rows.ts'
import { planView } from './plan-view.ts'

/** Interval between two requests about an image that is being inspected, in milliseconds. */
const INSPECTION_INTERVAL_MS = 250

export const imageUpload = defineCommand({
  noun: 'image',
  verb: 'upload',
  summary: 'Uploads a file of this machine (console), or returns a link for uploading one',
  role: 'uploader',
  effect: 'write',
  targets: [{ name: 'PATH', about: 'file of this machine, in the console only', subject: 'path', optional: true }],
  options: {
    store: { about: 'store to upload to', value: 'S', subject: 'store' },
    ...CHOICE_OPTIONS,
    name: { about: 'name of the image, the name of the file by default', value: 'NAME' },
    ...DRAFT_OPTION_SPECS,
    for: LINK_DURATION,
    max: { about: 'largest file that the link accepts', value: '40GB', label: 'Largest file' },
  },
  flags: { 'dry-run': 'only shows the plan' },
  form: { title: 'Upload an image', submit: 'Get the link', without: ['--dry-run'] },
  examples: ['image upload ./debian-12.qcow2 store=edge-a name=debian-12', 'image upload store=edge-a name=debian-12'],
  run(context, { targets, options, flags }) {
    const store = storeForImages(context, options)
    checkPlacement(context, store, placedImage(options))
    const [path] = targets
    if (path === undefined && flags.has('dry-run'))
      throw problem('invalid-input', '--dry-run needs the path of a file.', { action: 'Add the path, or leave out --dry-run to create a link.' })
    if (path === undefined) return createLink(context, store, options)
    if (!context.files) {
      throw problem('invalid-input', 'Files are uploaded from the console only.', {
        action: `Ask for a link instead: image upload store=${store.name} name=${options.name ?? 'NAME'}`,
      })
    }
    if (options.for !== undefined || options.max !== undefined)
      throw problem('invalid-input', 'for= and max= apply to links only.', { action: 'Leave them out, or leave out the path.' })
    return flags.has('dry-run') ? planFile(context, store, path, options) : sendFile(context, store, path, options)
  },
})

type Options = Readonly<Partial<Record<(typeof DRAFT_OPTIONS)[number] | 'labels' | 'for' | 'max', string>>>

async function createLink(context: CommandContext, store: StoreRecord, options: Options): Promise<View> {
  const ttlSeconds = linkSeconds(options.for)
  const maxLength = options.max === undefined ? undefined : parseSize(options.max)
  if (options.max !== undefined && maxLength === undefined)
    throw problem('invalid-input', `max=${options.max} is not a size.`, { action: 'Write it as 40GB or 512MiB.' })
  // Without a name the client chooses it; the draft is checked all the same.
  const { name: _name, requirements: _requirements, ...draft } = draftOf({ name: 'disk', ...options }, 'image upload')
  const { address } = context.page
  const origin = address.isServed() ? address.origin() : undefined
  const contact = await context.fleet.contact(store, (agent) =>
    agent.links.create({
      kind: 'upload',
      ttlSeconds,
      draft: options.description === undefined ? withoutDescription(draft) : draft,
      ...(options.name === undefined ? {} : { name: options.name }),
      ...(maxLength === undefined ? {} : { maxLength }),
      // The page of the link sends to the agent itself where the browser reaches it.
      ...(origin === undefined ? {} : { origin }),
    }),
  )
  const link = answerOf(contact)
  const page = origin === undefined ? undefined : origin + context.uploadPages.add({ store: store.name, ...link })
  const { curl, tus } = firstUploadLines(link.url, options.name !== undefined)
  return makeView({
    title: `Link to upload ${options.name ?? 'an image'} to ${store.name}`,
    text: 'Anyone who has this link can upload one image. Share it only with the person who uploads; opened in a browser, it says how.',
    isPrivate: true,
    fields: [
      ...(page === undefined ? [] : [{ label: 'Page', value: page }]),
      { label: 'Link', value: link.url },
      { label: 'Begin before', value: formatWireTime(link.expiresAt) },
      ...(maxLength === undefined ? [] : [{ label: 'Largest file', value: formatSize(maxLength) }]),
      { label: 'With curl', value: curl },
      { label: 'With a tus client', value: 'use the link as the endpoint; an interrupted upload resumes' },
      { label: 'To end it', value: `link revoke ${link.id} ${quoteOption('store', store.name)}` },
    ],
    followedLink: {
      store: store.name,
      id: link.id,
      name: options.name ?? null,
      maxLength: maxLength ?? null,
      expiresAt: link.expiresAt,
      by: context.actor.name,
    },
    asOfMs: contact.asOfMs,
    json: { store: store.name, ...link, ...(page === undefined ? {} : { page }), curl, tus, asOf: formatTime(contact.asOfMs) },
  })
}

function withoutDescription<Draft extends { description: string }>({ description: _description, ...draft }: Draft): Omit<Draft, 'description'> {
  return draft
}

/** Shows where the file would go, how much space it needs, and what limits apply. */
async function planFile(context: CommandContext, store: StoreRecord, path: string, options: Options): Promise<View> {
  const length = await context.files?.length(path)
  if (length === undefined) throw new Error('the console has no file sender')
  const draft = draftOf({ name: path.slice(path.lastIndexOf('/') + 1), ...options }, 'image upload')
  const plan = await askStore(context, store, (agent) => agent.images.planImport({ ...draft, source: { length } }))
  return planView(context, { title: `Upload of ${draft.name} to ${store.name}`, plan, again: undefined, isRun: false })
}

async function sendFile(context: CommandContext, store: StoreRecord, path: string, options: Options): Promise<View> {
  // Asked first, so that a disabled store refuses before the first byte is sent.
  const at = await askStore(context, store, (agent) => agent.store.get())
  if (!at.enabled) throw problem('store-disabled', `${store.name} is disabled${at.disabledReason ? `: ${asSentence(at.disabledReason)}` : '.'}`)
  const filename = path.slice(path.lastIndexOf('/') + 1)
  const metadata: Record<string, string> = { filename, name: filename }
  for (const key of DRAFT_OPTIONS) {
    const value = options[key]
    if (value !== undefined) metadata[key] = value
  }
  if (options.labels !== undefined) metadata['labels'] = JSON.stringify(parseLabels(options.labels))
  const name = metadata['name'] ?? filename
  const title = `Upload of ${name} to ${store.name}`
  if (!context.files) throw new Error('the console has no file sender')
  const onProgress = progressReport(context, { title, store: store.name, name })
  const order = { path, url: store.url, token: store.token, metadata, cutter: at.cutter, signal: context.signal, onProgress }
  const sent = await context.files.send(order).catch((error: unknown) => {
    throw error instanceof ProblemError ? advise(store, error) : error
  })
  const notes = notesOf(sent)
  if (sent.imageId === undefined) {
    const asOfMs = context.clock.nowMs()
    return makeView({
      title,
      text: `All ${formatSize(sent.length)} are in the store, but the agent did not return the id of the image. Find it with image list.`,
      notes,
      asOfMs,
      json: { store: store.name, length: sent.length, ...sent.saving, asOf: formatTime(asOfMs) },
    })
  }
  const image = await awaitInspection(context, store, sent.imageId)
  const found = imageView(`Image ${image.name} uploaded to ${store.name}`, { store, image }, context.clock.nowMs(), { notes, json: sent.saving })
  const view = { ...found, actions: uploadedActions(context, store, image) }
  return image.status === 'error' ? { ...view, outcome: 'failed', text: image.statusReason ?? 'The image cannot be used.' } : view
}

/** Shows how far an upload is; rate and time left count from the first report, which may be that of a resumed upload. */
function progressReport(context: CommandContext, upload: { readonly title: string; readonly store: string; readonly name: string }): FileOrder['onProgress'] {
  const startedMs = context.clock.nowMs()
  let firstSent: number | undefined
  return (done, total) => {
    firstSent ??= done
    const asOfMs = context.clock.nowMs()
    const rate = (done - firstSent) / Math.max(0.001, (asOfMs - startedMs) / 1000)
    const progress: Task['progress'] = { done, total, unit: 'bytes', rate, etaSeconds: rate > 0 ? (total - done) / rate : null }
    const task: Task = {
      id: 'upload',
      kind: 'import',
      state: 'running',
      progress,
      subject: upload.name,
      createdBy: context.actor.name,
      createdAt: formatTime(startedMs),
      endedAt: null,
    }
    context.onInterim?.(makeView({ title: upload.title, progress: [{ store: upload.store, task }], asOfMs, json: { progress, asOf: formatTime(asOfMs) } }))
  }
}

/** The next steps after an upload: copy the image to another store, if there is one, and show it. */
function uploadedActions(context: CommandContext, store: StoreRecord, image: Image): Action[] {
  const other = context.fleet.registry.list().find(({ name }) => name !== store.name)
  const show: Action = { label: 'Show', command: `image show ${image.id} ${quoteOption('store', store.name)}`, role: 'viewer' }
  if (!other || image.status !== 'available') return [show]
  return [{ label: `Copy to ${other.name}`, command: `image sync ${image.id} ${quoteOption('to', other.name)}`, role: 'operator' }, show]
}

/** How much was sent, and how much was not because the store had it or because it is zeros. */
function notesOf({ resumedFrom, length, saving }: SentFile): string[] {
  const notes = resumedFrom > 0 ? [`Resumed at ${formatSize(resumedFrom)}: an earlier run had sent everything before.`] : []
  const rest = length - resumedFrom
  if (!saving || rest === 0) return notes
  const parts = [`${formatSize(saving.newBytes)} new`, `${formatSize(saving.storedBytes)} already stored`, `${formatSize(saving.zeroBytes)} zeros`]
  return [...notes, `Sent ${formatSize(saving.wireBytes)} for ${formatSize(rest)}: ${parts.join(', ')}.`]
}

/** Waits until a finished upload has been inspected, which takes moments. */
async function awaitInspection(context: CommandContext, store: StoreRecord, id: string): Promise<Image> {
  for (;;) {
    const image = await askStore(context, store, (agent) => agent.images.get(id))
    if (image.status !== 'creating' && image.status !== 'uploading' && image.status !== 'pending') return image
    await context.clock.sleep(INSPECTION_INTERVAL_MS, context.signal)
  }
}
