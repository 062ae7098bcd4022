// `store edit S`: changes name, description and deletion policy at the agent and switches images on or off there; changes address, token, zone and provider in the
// registry.

import { problem } from '../../../../protocol/problems.ts'
import type { StorePatch } from '../../../../protocol/store.ts'
import { parseAgentUrl, testConnectivity } from '../../../fleet/connectivity.ts'
import { observeAll } from '../../../fleet/observe.ts'
import { parseReconnect, RECONNECT_WORDS } from '../../../fleet/reconnect.ts'
import type { StoreChange } from '../../../fleet/registry.ts'
import { keptSightings } from '../../../fleet/see.ts'
import type { CommandContext } from '../../command.ts'
import { defineCommand } from '../../command.ts'
import { askStore, NAME_TARGET, oneStore } from '../../select.ts'
import { DELETION_WORDS, parsePolicy } from './deletion-policy.ts'
import { parseConcurrency } from './concurrency.ts'
import { ANYWAY, askAboutRisks } from './edit-risks.ts'
import { KINDS_OPTION, otherKindsNotes, parseKinds } from './kinds.ts'
import { parseReserved, reserveWarning } from './reserve.ts'
import { parseSyncLimits } from './sync-limits.ts'
import { showView } from '../show/show.ts'
import { failedTest } from '../test-steps.ts'

/** Returns whether images are switched on by `images=on`. Throws `invalid-input` for a word other than `on` and `off`. */
export function parseSwitch(word: string): boolean {
  if (word !== 'on' && word !== 'off') throw problem('invalid-input', `images=${word} is not understood.`, { action: 'Write images=on or images=off.' })
  return word === 'on'
}

/** The change of the registration for `reconnect=`. Throws `invalid-input`. */
function reconnectChange(word: string | undefined): StoreChange {
  if (word === undefined) return {}
  const reconnectMs = word === 'default' ? null : parseReconnect(word)
  if (reconnectMs === undefined) throw problem('invalid-input', `reconnect=${word} is not understood.`, { action: `Write ${RECONNECT_WORDS}, or default.` })
  return { reconnectMs }
}

/** What the bot knows of the settings of a store, as options; nothing without its name. */
function settingsOf(context: CommandContext, name: string | undefined): Record<string, string> {
  const record = name === undefined ? undefined : context.fleet.registry.find(name)
  if (!record) return {}
  const sighting = keptSightings(context.fleet, [record], context.clock.nowMs()).get(record.name)
  const seen = sighting?.kind === 'answered' ? sighting.value.store : null
  const { url, zone, provider } = record
  const own = seen ? { description: seen.description, deletion: seen.retention.deletion, images: seen.imagesEnabled === false ? 'off' : 'on' } : {}
  return { name: record.name, url, zone, provider, ...own }
}

export const storeEdit = defineCommand({
  noun: 'store',
  verb: 'edit',
  summary:
    'Changes name, description, address, token, zone, provider, deletion policy, reserve, kinds of images, uploads at once, limits of syncs or reconnecting of a store, or switches images on or off',
  role: 'admin',
  effect: 'write',
  targets: [{ name: 'S', about: 'name of a store', subject: 'store', optional: true }],
  options: {
    name: { about: 'new name, at the agent and in the registry', value: 'NAME' },
    description: { about: 'what it is for', value: 'TEXT' },
    url: { about: 'new address of its agent, tested first', value: 'URL' },
    token: { about: 'new token, tested first', value: 'TOKEN', secret: true },
    zone: { about: 'zone it belongs to', value: 'ZONE', subject: 'zone' },
    provider: { about: 'what stores its data', value: 'PROVIDER' },
    deletion: {
      about: 'what deleting an image does: immediate, delayed, never, or configured for the configuration',
      value: 'POLICY',
      choices: DELETION_WORDS,
    },
    retention: { about: 'how long deleted images stay in the recycle bin: 12h, 3d, or configured', value: '3d' },
    reserved: { about: 'space that uploads and syncs never use: 50GB, or configured; applies at once', value: '50GB' },
    'upload-concurrency': { about: 'uploads that put bytes into slices at the same time, 1 to 16, or configured; applies at once', value: '4' },
    kinds: KINDS_OPTION,
    'sync-rate': { about: 'bytes per second of all syncs together: 10MB, 0 for no limit, or configured', value: '10MB' },
    'sync-hours': { about: 'windows in which syncs move bytes, with semicolons between them; all, or configured', value: '"0 22 * * * for 8h"' },
    reconnect: { about: `how often the service tries to reach the store while it is silent: ${RECONNECT_WORDS}; default for that of the bot`, value: '30|off' },
    images: { about: 'off refuses new images; existing images stay readable', value: 'on|off' },
  },
  flags: { [ANYWAY]: 'changes it also where imports or uploads in progress would break' },
  form: { title: 'Edit a store', submit: 'Save', now: (context, targets) => settingsOf(context, targets[0]) },
  examples: ['store edit edge-a description="Templates of the edge"', 'store edit edge-a deletion=delayed retention=7d', 'store edit edge-a token=…'],
  async run(context, { targets, options, flags }) {
    const store = oneStore(context, targets[0], NAME_TARGET)
    const { name, description, url, token, zone, provider, images, deletion, retention } = options
    if (Object.keys(options).length === 0)
      throw problem('invalid-input', 'store edit needs something to change.', {
        action:
          'Add at least one of name=, description=, url=, token=, zone=, provider=, images=, deletion=, retention=, reserved=, upload-concurrency=, kinds=, sync-rate=, sync-hours=, reconnect=.',
      })
    const { registry } = context.fleet
    const other = name === undefined ? undefined : registry.find(name)
    if (other && other.name !== store.name) throw problem('conflict', `A store ${other.name} is registered already.`, { action: 'Choose another name.' })

    const change: StoreChange = {
      ...(zone === undefined ? {} : { zone }),
      ...(provider === undefined ? {} : { provider }),
      ...reconnectChange(options.reconnect),
    }
    if (url !== undefined || token !== undefined) {
      const peer = { url: url ?? store.url, token: token ?? store.token }
      const tested = await testConnectivity(context, peer)
      if (tested.kind === 'failed') return failedTest(context, tested, 'Nothing was changed.')
      if (store.storeId !== null && tested.store.id !== store.storeId) {
        throw problem('conflict', `Another store answers at this address: ${tested.store.name} (${tested.store.id}). Nothing was changed.`, {
          action: 'Use the address of this store, or add the other one with store add.',
        })
      }
      Object.assign(change, { url: parseAgentUrl(peer.url) ?? peer.url, token: peer.token })
    }
    const reached = { ...store, url: change.url ?? store.url, token: change.token ?? store.token }
    const concurrency = options['upload-concurrency']
    const policy = parsePolicy({ deletion, retention })
    const sync = parseSyncLimits(options['sync-rate'], options['sync-hours'])
    const patch: StorePatch = {
      ...(name === undefined ? {} : { name }),
      ...(description === undefined ? {} : { description }),
      ...(policy === undefined ? {} : { retention: policy }),
      ...(sync === undefined ? {} : { sync }),
      ...(options.reserved === undefined ? {} : { reserved: parseReserved(options.reserved) }),
      ...(concurrency === undefined ? {} : { transfer: { uploadConcurrency: parseConcurrency(concurrency) } }),
      ...(options.kinds === undefined ? {} : { kinds: parseKinds(options.kinds) }),
      ...(images === undefined ? {} : { imagesEnabled: parseSwitch(images) }),
    }
    const question = flags.has(ANYWAY) ? undefined : await askAboutRisks(context, { store: reached, patch, options })
    if (question) return question
    if (Object.keys(patch).length > 0) await askStore(context, reached, (agent) => agent.store.patch(patch))
    const changed = registry.change(store.name, { ...change, ...(name === undefined ? {} : { name }) })
    const [seen] = await observeAll(context.fleet, [changed ?? store])
    if (!seen) throw new Error('a store was changed and none observed')
    return {
      ...showView(seen, context.clock.nowMs()),
      title: `Store ${seen.record.name} changed`,
      notes: [...(options.reserved === undefined ? [] : reserveWarning(seen)), ...otherKindsNotes(seen.record.name, seen.store)],
    }
  },
})
