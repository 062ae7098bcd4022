// Media groups of a store. An image names its group; a group that only images name is visible. Settings of groups are stored in media-groups.json on
// the mount path, so that they move with the images. A renamed group keeps its former names, so that no image.json has to be written again.
//
// A change is durable before it takes effect, and it takes effect for every image before it is acknowledged.

import { join } from 'node:path'
import { errorText, hasCode } from '../../protocol/errors.ts'
import { nameSchema } from '../../protocol/images/image.ts'
import { MEDIA_GROUPS_MAX } from '../../protocol/images/media-group.ts'
import type { MediaGroup, MediaGroupPatch, NewMediaGroup } from '../../protocol/images/media-group.ts'
import type { Page, PageQuery } from '../../protocol/page.ts'
import { problem } from '../../protocol/problems.ts'
import type { Disk } from '../contract/disk.ts'
import type { Audience, ImagesInProgress } from '../contract/images.ts'
import { createInOrder } from '../contract/in-order.ts'
import { createLoopBudget } from '../contract/loop-budget.ts'
import type { LoopBudget } from '../contract/loop-budget.ts'
import type { Clock, CrashPoint, Log } from '../contract/runtime.ts'
import type { EmitEvent } from '../contract/work.ts'
import { diskProblem } from './records/disk-problem.ts'
import type { ImageTable } from './records/image-table.ts'
import { decodeGroupFile, encodeGroupFile, FORMER_NAMES_MAX, GROUP_FILE, GROUP_FILE_BYTES_MAX } from './groups/group-file.ts'
import type { GroupRecord, GroupSettings } from './groups/group-file.ts'
import type { GroupRecords } from './groups/group-records.ts'

export interface MediaGroupsDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  readonly emit: EmitEvent
  readonly crashPoint: CrashPoint
  readonly mount: string
  readonly records: GroupRecords
  readonly table: Pick<ImageTable, 'get' | 'put' | 'inGroup' | 'groups' | 'each'>
  /** The images that unfinished uploads will become. */
  readonly inProgress: () => ImagesInProgress | undefined
}

export interface MediaGroups {
  /**
   * Lists the groups that the audience may see, by name: the visible ones that have settings, and those of images that it may see. Without an audience,
   * all groups.
   */
  list(query: PageQuery, audience?: Audience): Promise<Page<MediaGroup>>
  /** Creates the settings of a group. Throws `conflict` if it has settings already, and `limit-reached`. */
  create(order: NewMediaGroup, actor: string): Promise<MediaGroup>
  /** Changes a group, and creates its settings if only images name it. Throws `not-found`, `conflict` and `limit-reached`. */
  patch(name: string, patch: MediaGroupPatch, actor: string): Promise<MediaGroup>
  /** Deletes the settings of a group without images. Throws `not-found`, and `conflict` while images are in it. */
  delete(name: string, actor: string): Promise<void>
  /** Hides a group that has no settings yet: images of a hidden group that come from another store stay hidden. */
  hideUnknown(name: string): Promise<void>
}

export interface OpenMediaGroups extends MediaGroups {
  /** Reads the settings. Call it before images are loaded. If they are lost, every group is hidden. */
  load(): Promise<void>
}

/** Creates the media groups of a store. */
export function createMediaGroups(deps: MediaGroupsDeps): OpenMediaGroups {
  const { clock, log, records, table } = deps
  const inOrder = createInOrder()
  /** Whether the file could not be read, so that it must not be replaced. */
  let isUnreadable = false
  const store = async (settings: GroupSettings): Promise<void> => {
    if (isUnreadable)
      throw problem('store-unavailable', `${GROUP_FILE} could not be read when the agent started.`, { action: 'Check the mount path, then restart the agent.' })
    await writeSettings(deps, settings)
    deps.crashPoint('images:groups-written')
    records.replace(settings)
  }
  /** Replaces or adds the settings of a group, and puts its images into their places. */
  const save = async (before: string, record: GroupRecord): Promise<MediaGroup> => {
    const { records: all, ...rest } = records.settings()
    const others = all.filter(({ name }) => name !== before)
    if (others.length >= MEDIA_GROUPS_MAX)
      throw problem('limit-reached', `A store keeps settings of at most ${MEDIA_GROUPS_MAX} media groups.`, { action: 'Delete groups that are not used.' })
    await store({ ...rest, records: [...others, record] })
    await replace(deps, new Set([...table.inGroup(before), ...table.inGroup(record.name)]))
    return { ...shown(record), images: table.inGroup(record.name).size }
  }
  return {
    load: async () => void (isUnreadable = (await loadSettings(deps)) === 'unreadable'),
    list: (query, audience) => listGroups(deps, query, audience),
    create: ({ name, description, visible }, actor) =>
      inOrder.run(async () => {
        refuseKnown(deps, name)
        const group = await save(name, { name, description, visible, formerNames: [] })
        log.info('a media group was created', { name, visible, actor })
        return group
      }),
    patch: (name, patch, actor) =>
      inOrder.run(async () => {
        const group = await save(name, patched(deps, name, patch))
        log.info('a media group was changed', { name, ...patch, actor })
        return group
      }),
    delete: (name, actor) =>
      inOrder.run(async () => {
        refuseUsed(deps, name)
        const { records: all, ...rest } = records.settings()
        await store({ ...rest, records: all.filter((record) => record.name !== name) })
        log.info('a media group was deleted', { name, actor })
      }),
    hideUnknown: (name) =>
      inOrder.run(async () => {
        if (records.of(name) || records.isHidden(name)) return
        await save(name, { name, description: '', visible: false, formerNames: [] })
        log.info('a media group was hidden, as in the store that an image of it came from', { name })
      }),
  }

  /** Puts images into the places that the settings give them. */
  async function replace({ table: images }: MediaGroupsDeps, ids: ReadonlySet<string>): Promise<void> {
    const budget = createLoopBudget(clock)
    for (const id of ids) {
      const stored = images.get(id)
      if (stored) images.put(stored)
      await budget.spend()
    }
  }
}

function shown({ name, description, visible }: GroupRecord): Omit<MediaGroup, 'images'> {
  return { name, description, visible }
}

/** Returns the settings of a group after a change. */
function patched({ records, table }: MediaGroupsDeps, name: string, patch: MediaGroupPatch): GroupRecord {
  const before = records.named(name)
  if (!before && table.inGroup(name).size === 0) throw unknown(name)
  const { formerNames, ...rest } = before ?? { name, description: '', visible: !records.isHidden(name), formerNames: [] }
  const changed = { ...rest, ...definedOnly(patch) }
  // Images may name groups more freely than groups may be named.
  if (nameSchema.safeParse(changed.name).data !== changed.name)
    throw problem('invalid-input', `A media group cannot be named ${JSON.stringify(changed.name)}.`, {
      action: 'Give the group another name in the same change.',
    })
  if (changed.name === name) return { ...changed, formerNames }
  const other = records.of(changed.name)
  if ((other && other.name !== name) || table.inGroup(changed.name).size > 0)
    throw problem('conflict', `There is a media group ${changed.name} already, or a group had this name before.`, {
      action: 'Choose another name, or move the images: image edit I mediaGroup=NAME.',
    })
  const former = [...formerNames.filter((text) => text !== changed.name), name]
  if (former.length > FORMER_NAMES_MAX)
    throw problem('limit-reached', `A media group can be renamed at most ${FORMER_NAMES_MAX} times.`, {
      action: 'Create another group and move the images: image edit I mediaGroup=NAME.',
    })
  return { ...changed, formerNames: former }
}

function definedOnly({ name, description, visible }: MediaGroupPatch): Partial<Pick<GroupRecord, 'name' | 'description' | 'visible'>> {
  return { ...(name !== undefined && { name }), ...(description !== undefined && { description }), ...(visible !== undefined && { visible }) }
}

function refuseKnown({ records }: MediaGroupsDeps, name: string): void {
  const known = records.of(name)
  if (!known) return
  const detail = known.name === name ? `The media group ${name} exists already.` : `The media group ${known.name} had the name ${name} before.`
  throw problem('conflict', detail, { action: known.name === name ? 'Change it instead: media-group edit.' : 'Choose another name.' })
}

function refuseUsed({ records, table, inProgress }: MediaGroupsDeps, name: string): void {
  const images = table.inGroup(name).size
  if (images > 0)
    throw problem('conflict', `${images === 1 ? '1 image is' : `${images} images are`} in the media group ${name}, the recycle bin included.`, {
      action: 'Move them to another group first, or remove them: image list mediaGroup=NAME; image edit I mediaGroup=OTHER.',
    })
  const record = records.named(name)
  if (!record) throw unknown(name)
  for (const { image } of inProgress()?.images() ?? [])
    if (image.draft.mediaGroup !== undefined && records.of(image.draft.mediaGroup)?.name === name)
      throw problem('conflict', `An upload in progress belongs to the media group ${name}.`, { action: 'Wait until it ends, or cancel it.' })
  if (record.visible) return
  // Without the settings, such an image would be visible once its files can be read again.
  for (const { image } of table.each())
    if (image.status === 'fileUnavailable')
      throw problem('conflict', `The files of image ${image.id} cannot be read, so it may belong to the hidden media group ${name}.`, {
        action: 'Check the mount path, reconnect the store, and delete the group then.',
      })
}

function unknown(name: string): Error {
  return problem('not-found', `There is no media group ${JSON.stringify(name)}.`, { action: 'List the media groups of the store: media-group list.' })
}

async function listGroups({ clock, records, table }: MediaGroupsDeps, { limit, cursor }: PageQuery, audience: Audience | undefined): Promise<Page<MediaGroup>> {
  const budget = createLoopBudget(clock)
  const names = new Set<string>(table.groups())
  for (const { name } of records.settings().records) names.add(name)
  const items: MediaGroup[] = []
  for (const name of [...names].toSorted()) {
    if (name === '' || (cursor !== undefined && name <= cursor)) continue
    const images = await countSeen(table, { ids: table.inGroup(name), audience, budget })
    const record = records.named(name)
    if (audience && images === 0 && record?.visible !== true) continue
    if (items.length === limit) return { items, next: items.at(-1)?.name ?? null }
    items.push({ ...shown(record ?? { name, description: '', visible: !records.isHidden(name), formerNames: [] }), images })
  }
  return { items, next: null }
}

interface Counted {
  readonly ids: ReadonlySet<string>
  readonly audience: Audience | undefined
  readonly budget: LoopBudget
}

async function countSeen(table: Pick<ImageTable, 'get'>, { ids, audience, budget }: Counted): Promise<number> {
  if (!audience) return ids.size
  let count = 0
  for (const id of [...ids]) {
    const stored = table.get(id)
    if (stored && audience.isSeen(stored.image)) count++
    await budget.spend()
  }
  return count
}

async function writeSettings({ disk, mount }: MediaGroupsDeps, settings: GroupSettings): Promise<void> {
  const bytes = await encodeGroupFile(settings)
  if (bytes.byteLength > GROUP_FILE_BYTES_MAX)
    throw problem('limit-reached', `The settings of the media groups would exceed ${GROUP_FILE_BYTES_MAX} bytes.`, {
      action: 'Shorten descriptions, or delete groups that are not used.',
    })
  try {
    await disk.writeFileAtomic(join(mount, GROUP_FILE), bytes)
  } catch (error) {
    throw diskProblem('The media groups could not be saved', error)
  }
}

/** Reads the settings. Without them, nobody can tell which groups were hidden, so that all are. */
async function loadSettings(deps: MediaGroupsDeps): Promise<'read' | 'unreadable'> {
  const { disk, mount, records, log, emit, clock } = deps
  const path = join(mount, GROUP_FILE)
  let bytes: Uint8Array
  try {
    bytes = await disk.readFile(path, GROUP_FILE_BYTES_MAX)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return 'read'
    records.replace({ records: [], othersHidden: true })
    log.error('the media groups cannot be read, so all of them are hidden', { error })
    emit({
      type: 'store.groups-unreadable',
      severity: 'error',
      subject: GROUP_FILE,
      message: `${GROUP_FILE} cannot be read (${errorText(error)}). All media groups are hidden.`,
    })
    return 'unreadable'
  }
  const settings = await decodeGroupFile(bytes)
  if (settings) {
    records.replace(settings)
    return 'read'
  }
  const lost: GroupSettings = { records: [], othersHidden: true }
  records.replace(lost)
  const name = `${GROUP_FILE}.${clock.nowMs()}`
  const message = `${GROUP_FILE} is damaged. It is kept as quarantine/${name}, and all media groups are hidden. Show each again, or restore the file from a backup and restart the agent.`
  log.error('the file of the media groups is damaged', { quarantine: name })
  emit({ type: 'store.groups-damaged', severity: 'error', subject: GROUP_FILE, message })
  try {
    await disk.makeFolder(join(mount, 'quarantine'))
    // The damaged file stays until the new one replaces it: without any file, all groups would be visible.
    await disk.writeFileAtomic(join(mount, 'quarantine', name), bytes)
    await writeSettings(deps, lost)
  } catch (error) {
    // The next start finds the damaged file again.
    log.warn('the media groups could not be saved', { error })
    return 'unreadable'
  }
  return 'read'
}
