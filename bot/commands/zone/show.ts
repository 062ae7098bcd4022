// `zone show Z`: a zone with its stores, the stores of other zones that serve it, and what names it.

import { formatTime } from '../../../protocol/time.ts'
import { judgedZone } from './list.ts'
import { seeStores } from '../../fleet/see.ts'
import { asSentence, stateWord, UNKNOWN } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { quoteOption } from '../../views/quote.ts'
import { FRESH_FLAG, oldestAsOf, oneZone } from '../select.ts'
import { stateNotes, STORE_COLUMNS, storeRow, worstFirst } from '../store/show/store-rows.ts'

export const zoneShow = defineCommand({
  noun: 'zone',
  verb: 'show',
  summary: 'Shows a zone: its stores, what is wrong with it, and which policies name it',
  role: 'viewer',
  effect: 'read',
  targets: [{ name: 'Z', about: 'name of a zone', subject: 'zone' }],
  flags: FRESH_FLAG,
  examples: ['zone show zone-1'],
  async run(context, { targets, flags }) {
    const zone = oneZone(context, targets[0] ?? '')
    const all = context.fleet.registry.list()
    const own = all.filter((store) => store.zone === zone.name)
    const seen = worstFirst(await seeStores(context, own, flags.has('fresh')))
    const asOfMs = oldestAsOf(seen, context.clock.nowMs())
    const judged = judgedZone(zone, seen)
    const serving = all.flatMap((store) => (store.zone !== zone.name && context.zones.serves(store, zone.name) ? [store.name] : []))
    const policies = context.policies.list().flatMap(({ name, scope }) => (scope.kind === 'zone' && scope.zone === zone.name ? [name] : []))
    const { finding } = judged
    return makeView({
      title: `Zone ${zone.name}`,
      tone: judged.tone,
      fields: [
        { label: 'State', value: judged.state === undefined ? 'no stores' : stateWord(judged.state), tone: judged.tone },
        ...(finding
          ? [
              { label: 'Finding', value: asSentence(finding.finding) },
              { label: 'Impact', value: finding.impact },
              { label: 'Next', value: finding.action },
            ]
          : []),
        { label: 'Description', value: zone.description || UNKNOWN },
        { label: 'Also served by', value: serving.join(', ') || 'none: no store of another zone has the scope region' },
        { label: 'Policies', value: policies.join(', ') || 'none' },
      ],
      columns: seen.length > 0 ? STORE_COLUMNS : [],
      rows: seen.map((one) => storeRow(one, context.clock.nowMs())),
      notes: stateNotes(seen),
      actions: [
        { label: `Health of ${zone.name}`, command: `store health ${quoteOption('zone', zone.name)}`, role: 'viewer' },
        { label: 'Images', command: `image list ${quoteOption('zone', zone.name)}`, role: 'viewer' },
      ],
      asOfMs,
      json: { ...judged.json, servedBy: serving, policies, asOf: formatTime(asOfMs) },
    })
  },
})
