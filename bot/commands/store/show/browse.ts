// `store browse S [path]`: lists the files of the mount path as they are on disk.

import { problem } from '../../../../protocol/problems.ts'
import { formatTime } from '../../../../protocol/time.ts'
import { actorIn } from '../../permit.ts'
import { makeView } from '../../../../protocol/views/view.ts'
import { formatBytes, formatWireTime } from '../../../../protocol/views/phrases.ts'
import { defineCommand } from '../../command.ts'
import { seenImageIds, seesAllImages } from '../../image/list/seen-images.ts'
import { answerOf, NAME_TARGET, oneStore } from '../../select.ts'
import { quoteWord } from '../../../views/quote.ts'

const FILES_SHOWN_MAX = 1000
/**
 * Their entries are ids of work in progress, and files that are named for images. Agents list them for operators only, and the token of the bot is
 * one: the bot checks the role itself.
 */
const PRIVATE_FOLDERS = ['uploads', 'sync', 'exports', 'inbox', 'quarantine']
/** The folder of images, whose entries are their ids. */
const IMAGES_FOLDER = 'images'

export const storeBrowse = defineCommand({
  noun: 'store',
  verb: 'browse',
  summary: 'Lists a folder of the mount path as it is on disk',
  role: 'viewer',
  effect: 'read',
  targets: [
    { name: 'S', about: 'name of a store', subject: 'store', optional: true },
    { name: 'PATH', about: 'folder in the mount path', subject: 'path', optional: true },
  ],
  examples: ['store browse edge-a', 'store browse edge-a images'],
  async run(context, { targets }) {
    const isRegistered = targets[0] !== undefined && context.fleet.registry.find(targets[0]) !== undefined
    // With a single store its name is optional: one word is then the path.
    const path = isRegistered || targets.length === 2 ? (targets[1] ?? '') : (targets[0] ?? '')
    const [top = '', entry] = path.split('/').filter((part) => part !== '' && part !== '.')
    const store = oneStore(context, path === targets[0] && context.fleet.registry.list().length === 1 ? undefined : targets[0], NAME_TARGET)
    const there = actorIn(context.actor, store)
    if (PRIVATE_FOLDERS.includes(top) && !seesAllImages(there))
      throw problem('forbidden', `Only operators can list the folder ${top}.`, { action: 'Ask an operator.' })
    const contact = await context.fleet.contact(store, async (agent) => {
      const seen = top === IMAGES_FOLDER ? await seenImageIds(there, agent) : undefined
      if (seen && entry !== undefined && !seen.has(entry))
        throw problem('not-found', `There is no file ${JSON.stringify(path)} in the mount path.`, { action: 'List its parent folder.' })
      const found = await agent.files.list(path, { limit: FILES_SHOWN_MAX })
      return seen && entry === undefined ? { ...found, items: found.items.filter(({ name }) => seen.has(name)) } : found
    })
    const page = answerOf(contact)
    const folder = path.replace(/\/+$/, '')
    const child = (name: string): string => (folder === '' ? name : `${folder}/${name}`)
    const openLine = (name: string): string => `store browse ${quoteWord(store.name)} ${quoteWord(child(name))}`
    const folders = page.items.filter((file) => file.kind === 'folder')
    return makeView({
      title: `${store.name}:/${folder.replace(/^\/+/, '')}`,
      text: page.items.length === 1 ? '1 entry' : `${page.items.length} entries`,
      columns: [
        { key: 'name', label: 'Name', isWhole: true },
        { key: 'kind', label: 'Kind' },
        { key: 'length', label: 'Length', align: 'right' },
        { key: 'modified', label: 'Modified' },
      ],
      rows: page.items.map((file) => ({
        ...(file.kind === 'folder' ? { opens: openLine(file.name) } : {}),
        ...(file.kind === 'file' && seesAllImages(there) ? { file: { store: store.name, path: child(file.name) } } : {}),
        cells: {
          name: file.kind === 'folder' ? `${file.name}/` : file.name,
          kind: file.kind,
          length: formatBytes(file.length),
          modified: formatWireTime(file.modifiedAt),
        },
      })),
      actions: folders.map((file) => ({
        label: `Open ${file.name}`,
        command: openLine(file.name),
        role: 'viewer',
      })),
      notes: page.next === null ? [] : [`Only the first ${FILES_SHOWN_MAX} entries are shown.`],
      asOfMs: contact.asOfMs,
      json: { store: store.name, path, items: page.items, next: page.next, asOf: formatTime(contact.asOfMs) },
    })
  },
})
