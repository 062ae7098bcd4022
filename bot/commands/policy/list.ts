// `policy list`: the sync policies with their next and last runs.

import { roleIncludes } from '../../../protocol/access.ts'
import { formatTime } from '../../../protocol/time.ts'
import { settleRuns } from './settle-runs.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { asSentence } from '../../../protocol/views/phrases.ts'
import { defineCommand } from '../command.ts'
import { POLICY_COLUMNS, policyJson, policyRow, policyState } from './policy-rows.ts'

export const policyList = defineCommand({
  noun: 'policy',
  verb: 'list',
  summary: 'Lists sync policies with their next and last runs',
  role: 'viewer',
  effect: 'read',
  examples: ['policy list'],
  async run(context) {
    const { policies, policyRuns, actor, clock } = context
    await settleRuns(context)
    const listed = policies.list().map((policy) => ({ policy, runs: policyRuns.list(policy.name) }))
    const asOfMs = clock.nowMs()
    const seesAll = roleIncludes(actor.role, 'operator')
    return makeView({
      title: 'Policies',
      text: listed.length === 0 ? 'No policies. policy add makes one.' : `${listed.length} ${listed.length === 1 ? 'policy' : 'policies'}`,
      columns: listed.length === 0 ? [] : POLICY_COLUMNS,
      rows: listed.map(({ policy, runs }) => policyRow(policy, runs, actor, asOfMs)),
      notes: listed.flatMap(({ policy, runs }) => {
        const last = runs.find(({ endedMs }) => endedMs !== null)
        if (!seesAll || policyState(policy, runs) !== 'failed' || !last) return []
        return [`${policy.name} failed: ${asSentence(last.result)} ${last.action} policy show ${policy.name} shows more.`]
      }),
      asOfMs,
      json: { items: listed.map(({ policy, runs }) => policyJson(policy, runs, actor, asOfMs)), asOf: formatTime(asOfMs) },
    })
  },
})
