// `store show S`: shows everything about one store.

import { CHART_OPTIONS, parseCharts, storeCharts } from './chart.ts'
import { transfersText } from '../edit/concurrency.ts'
import { syncLimitsText } from '../edit/sync-limits.ts'
import { policyText } from '../edit/deletion-policy.ts'
import { kindsText, otherKindsNotes } from '../edit/kinds.ts'
import { reserveText } from '../edit/reserve.ts'
import { formatTime } from '../../../../protocol/time.ts'
import { reconnectText } from '../../../fleet/reconnect.ts'
import { seeStores } from '../../../fleet/see.ts'
import type { Observation } from '../../../fleet/judge.ts'
import { makeView } from '../../../../protocol/views/view.ts'
import type { Field, View } from '../../../../protocol/views/view.ts'
import { formatAt, formatBytes, percent, plural, UNKNOWN } from '../../../../protocol/views/phrases.ts'
import type { CommandContext } from '../../command.ts'
import { defineCommand } from '../../command.ts'
import { quoteOption } from '../../../views/quote.ts'
import { FRESH_FLAG, NAME_TARGET, oneStore } from '../../select.ts'
import { healthFields, savedText, storeActions, storeJson } from './store-rows.ts'

/** Views of a store's images: all, and the kinds that people look for. */
const IMAGE_VIEWS = [
  { label: 'Images', words: '' },
  { label: 'Templates', words: ' kind=template' },
  { label: 'Snapshots', words: ' kind=snapshot' },
  { label: 'Boot images', words: ' kind=iso' },
] as const

export const storeShow = defineCommand({
  noun: 'store',
  verb: 'show',
  summary: 'Shows one store: state, zone, space, images and limits',
  role: 'viewer',
  effect: 'read',
  targets: [{ name: 'S', about: 'name of a store', subject: 'store', optional: true }],
  options: CHART_OPTIONS,
  flags: FRESH_FLAG,
  examples: ['store show edge-a', 'store show edge-a --chart', 'store show edge-a --chart=rate period=30d'],
  async run(context, { targets, options, flags }) {
    const charts = parseCharts(options)
    const store = oneStore(context, targets[0], NAME_TARGET)
    if (charts) return storeCharts(context, store, charts, flags.has('fresh'))
    const [seen] = await seeStores(context, [store], flags.has('fresh'))
    if (!seen) throw new Error('a store was asked for and none observed')
    return shownView(context, seen)
  },
})

/** The View of one observed store, with what only the bot knows of it, and the ways to its images. */
function shownView(context: CommandContext, seen: Observation): View {
  const { name } = seen.record
  const view = showView(seen, context.clock.nowMs())
  const hypervisors = context.hypervisors.of(name)
  return {
    ...view,
    fields: [...view.fields, { label: 'Hypervisors', value: hypervisors.join(', ') || 'none: store bind binds one' }],
    actions: [
      ...view.actions,
      ...IMAGE_VIEWS.map(({ label, words }) => ({ label, command: `image list ${quoteOption('store', name)}${words}`, role: 'viewer' as const })),
    ],
    json: { ...(view.json as Record<string, unknown>), hypervisors },
  }
}

/** The View of one observed store. */
export function showView(seen: Observation, nowMs: number): View {
  const { record, store } = seen
  const fields: Field[] = [
    ...healthFields(seen, nowMs),
    { label: 'URL', value: record.url },
    ...(record.zone === '' ? [{ label: 'Zone', value: 'none: attach it with zone attach' }] : []),
    { label: 'Provider', value: record.provider },
    { label: 'Protocol', value: new URL(record.url).protocol.replace(':', '') },
    { label: 'Store id', value: store?.id ?? record.storeId ?? UNKNOWN },
    { label: 'Reconnect', value: reconnectText(record.reconnectMs) },
    ...(seen.tasks ? [{ label: 'Tasks', value: `${seen.tasks.running} running, ${seen.tasks.queued} waiting` }] : []),
    { label: 'Added', value: formatAt(record.addedMs) },
    ...(store ? storeFields(store) : []),
  ]
  return makeView({
    title: `Store ${record.name}`,
    fields,
    notes: otherKindsNotes(record.name, store),
    actions: storeActions(seen, nowMs),
    asOfMs: seen.asOfMs,
    json: { ...storeJson(seen, nowMs), origins: store?.origins ?? [], partners: store?.partners ?? [], checks: seen.checks, asOf: formatTime(seen.asOfMs) },
  })
}

function storeFields(store: NonNullable<Observation['store']>): Field[] {
  const { capacity, slices, images } = store
  return [
    { label: 'Description', value: store.description === '' ? UNKNOWN : store.description },
    { label: 'Mount path', value: store.mount },
    { label: 'Scope', value: store.scope },
    { label: 'Enabled', value: store.enabled ? 'yes' : `no${store.disabledReason ? `: ${store.disabledReason}` : ''}` },
    { label: 'Used', value: `${formatBytes(capacity.used)} of ${formatBytes(capacity.total)} (${percent(capacity.used, capacity.total)})` },
    { label: 'Available', value: `${formatBytes(capacity.available)} above the reserve of ${reserveText(store)}` },
    {
      label: 'Images',
      value: `${images.available} available, ${images.deleted} in the recycle bin, ${images.other} other${store.imagesEnabled === false ? '; switched off: new images are refused' : ''}`,
    },
    ...(store.kinds ? [{ label: 'Kinds', value: kindsText(store.kinds) }] : []),
    ...usageFields(store),
    {
      label: 'Slices',
      value: `${slices.count}, ${formatBytes(slices.storedBytes)} stored for ${formatBytes(slices.imageBytes)} of images (${savedText({ store })})`,
    },
    {
      label: 'Uploads',
      value: transfersText(store),
    },
    {
      label: 'Deletion',
      value: policyText(store.retention),
    },
    ...(store.sync ? [{ label: 'Syncs', value: syncLimitsText(store.sync) }] : []),
    ...repairFields(store),
    { label: 'Version', value: store.version },
  ]
}

/** The stores from which this one repairs its slices, and whether they answer. */
function repairFields({ origins = [], partners = [] }: NonNullable<Observation['store']>): Field[] {
  const namesOf = (stores: typeof origins): string => stores.map(({ name, state }) => `${name} (${state})`).join(', ')
  return [
    ...(origins.length > 0 ? [{ label: 'Origins', value: namesOf(origins) }] : []),
    ...(partners.length > 0 ? [{ label: 'Repairs from', value: `${namesOf(partners)}, by grants of syncs` }] : []),
  ]
}

/** What the images use, one field a kind, the largest first. */
function usageFields({ usage }: NonNullable<Observation['store']>): Field[] {
  if (!usage) return []
  const kinds = Object.entries(usage.byKind).toSorted(([, a], [, b]) => b.length - a.length)
  return kinds.map(([kind, { count, length, storedSize }]) => ({
    label: `Usage: ${kind}`,
    value: `${plural(count, 'image')}, ${formatBytes(length)} long, ${formatBytes(storedSize)} stored`,
  }))
}
