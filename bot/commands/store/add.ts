// `store add`: tests the connection step by step, then registers the store.

import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { parseAgentUrl, testConnectivity } from '../../fleet/connectivity.ts'
import type { Connectivity } from '../../fleet/connectivity.ts'
import { observeAll } from '../../fleet/observe.ts'
import type { StorePatch } from '../../../protocol/store.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { asSentence, formatBytes } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { View } from '../../../protocol/views/view.ts'
import type { Command, CommandContext } from '../command.ts'
import { defineCommand } from '../command.ts'
import { askedForm } from '../asked-form.ts'
import { quoteWord } from '../../views/quote.ts'
import { KINDS_OPTION, otherKindsNotes, parseKinds } from './edit/kinds.ts'
import { alreadyThere, conflictView, differences, twinOf } from './recognise.ts'
import type { Wanted } from './recognise.ts'
import { showView } from './show/show.ts'
import { failedTest, stepTable } from './test-steps.ts'

/** Names are typed in commands: no white space, and no characters that the parser reads differently. */
export const STORE_NAME = /^[\p{L}\p{N}][\p{L}\p{N}._-]{0,62}$/u
const PROVIDER_DEFAULT = 'local'

export const storeAdd: Command = defineCommand({
  noun: 'store',
  verb: 'add',
  summary: 'Registers a store after testing that its agent can be reached',
  role: 'admin',
  effect: 'write',
  options: {
    name: { about: 'name in the registry, one word', value: 'NAME', isRequired: true },
    url: { about: 'address of its agent, http://HOST:8420', value: 'URL', label: 'URL of the agent', isRequired: true },
    token: { about: 'token of its agent, best the admin token; stored readable by the bot only, never shown', value: 'TOKEN', secret: true, isRequired: true },
    zone: { about: 'zone it belongs to', value: 'ZONE', subject: 'zone', isRequired: true },
    provider: { about: `what stores its data, ${PROVIDER_DEFAULT} by default`, value: 'PROVIDER' },
    kinds: KINDS_OPTION,
  },
  flags: { test: 'only tests the connection; needs url= and token= alone', 'dry-run': 'tests the connection, and shows what would be registered' },
  form: { title: 'Add a store', submit: 'Test and add' },
  examples: ['store add name=edge-a url=http://10.0.0.7:8420 token=… zone=zone-1', 'store add url=https://edge-a.example:8420 token=… --test'],
  async run(context, { options, flags }) {
    const { name, url, token, zone } = options
    const kinds = options.kinds === undefined ? undefined : parseKinds(options.kinds)
    if (flags.has('test') && url !== undefined && token !== undefined) return testOnly(context, { url, token })
    if (name === undefined || url === undefined || token === undefined || zone === undefined)
      return askedForm(context, storeAdd, { targets: [], options, flags })
    if (!STORE_NAME.test(name) || name === 'all') {
      throw problem('invalid-input', `"${name}" cannot be the name of a store.`, {
        action: 'Use letters, digits, dots, dashes and underscores, 63 at most; not "all".',
      })
    }
    const wanted: Wanted = { name, url: parseAgentUrl(url) ?? url, token, zone, provider: options.provider }
    const registered = context.fleet.registry.find(name)
    if (registered && differences(registered, wanted).length === 0) {
      const view = await alreadyThere(context, registered)
      return kinds === undefined ? view : { ...view, notes: [...view.notes, `kinds= was not changed: store edit ${name} kinds=… does it.`] }
    }
    if (registered?.url === wanted.url) return conflictView(context, { known: registered, wanted })
    const tested = await testConnectivity(context, { url, token })
    const known = registered ?? (tested.kind === 'connected' ? twinOf(context, tested.store) : undefined)
    if (known) return conflictView(context, { known, wanted, tested })
    if (tested.kind === 'failed') return failedTest(context, tested, 'Nothing was registered.')
    const provider = wanted.provider ?? PROVIDER_DEFAULT
    if (flags.has('dry-run')) return planOf(context, { name, url: wanted.url, zone, provider, ...(kinds ? { kinds } : {}) }, tested)
    const { registry } = context.fleet
    const record = registry.together(() => {
      // Somebody else may have added it during the test.
      const twin = registry.find(name) ?? twinOf(context, tested.store)
      return twin ? undefined : registry.add({ name, url: wanted.url, token, zone, provider, storeId: tested.store.id }, context.clock.nowMs())
    })
    if (!record) throw problem('conflict', `${name} was registered meanwhile.`, { action: 'Look at store list.' })
    const kindsNotes = kinds === undefined ? [] : await setKinds(context, record, kinds)
    const [seen] = await observeAll(context.fleet, [record])
    if (!seen) throw new Error('a store was added and none observed')
    return {
      ...showView(seen, context.clock.nowMs()),
      title: `Store ${name} added`,
      notes: [...tested.warnings, ...kindsNotes, ...otherKindsNotes(name, seen.store)],
      ...stepTable(tested.steps),
    }
  },
})

/** The answer to `--test`. */
async function testOnly(context: CommandContext, peer: { readonly url: string; readonly token: string }): Promise<View> {
  const tested = await testConnectivity(context, peer)
  if (tested.kind === 'failed') return failedTest(context, tested, '')
  const asOfMs = context.clock.nowMs()
  const twin = twinOf(context, tested.store)
  return makeView({
    title: `Connection test of ${parseAgentUrl(peer.url) ?? peer.url}`,
    text: `The connection test passed: the store ${tested.store.name} (${tested.store.id}) answers.${twin ? ` It is registered as ${twin.name}.` : ''}`,
    notes: tested.warnings,
    ...stepTable(tested.steps),
    asOfMs,
    json: { storeId: tested.store.id, version: tested.store.version, registeredAs: twin?.name ?? null, steps: tested.steps, asOf: formatTime(asOfMs) },
  })
}

/** Tells the agent which kinds it takes. Returns what to do when it refuses: the store is registered all the same. */
async function setKinds(context: CommandContext, record: StoreRecord, kinds: NonNullable<StorePatch['kinds']> | null): Promise<string[]> {
  const contact = await context.fleet.contact(record, (agent) => agent.store.patch({ kinds }))
  if (contact.kind === 'answered') return []
  const why = contact.kind === 'refused' ? contact.problem.detail : contact.reason
  return [`kinds= was not applied, and ${record.name} takes all kinds: ${asSentence(why)} Repeat it with store edit ${quoteWord(record.name)} kinds=….`]
}

/** Shows what would be registered, and what the store said in the test. */
function planOf(
  context: CommandContext,
  wanted: { readonly name: string; readonly url: string; readonly zone: string; readonly provider: string; readonly kinds?: readonly string[] },
  { store, warnings, steps }: Extract<Connectivity, { kind: 'connected' }>,
): View {
  const asOfMs = context.clock.nowMs()
  const { name, url, zone, provider } = wanted
  return makeView({
    ...stepTable(steps),
    title: `Store ${name}`,
    text: 'The connection test passed. Nothing was registered.',
    fields: [
      { label: 'URL', value: url },
      { label: 'Zone', value: zone },
      { label: 'Provider', value: provider },
      ...(wanted.kinds ? [{ label: 'Kinds', value: wanted.kinds.join(', ') || 'all' }] : []),
      { label: 'Store id', value: store.id },
      { label: 'Its own name', value: store.name },
      { label: 'Version', value: store.version },
      { label: 'Available', value: `${formatBytes(store.capacity.available)} above the reserve of ${formatBytes(store.capacity.reserved)}` },
    ],
    notes: warnings,
    asOfMs,
    json: { dryRun: true, ...wanted, storeId: store.id, version: store.version, warnings, steps, asOf: formatTime(asOfMs) },
  })
}
