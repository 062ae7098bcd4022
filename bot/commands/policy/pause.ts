// `policy pause P` and `policy resume P`.

import { formatTime } from '../../../protocol/time.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { Command } from '../command.ts'
import { defineCommand } from '../command.ts'
import { onePolicy, POLICY_TARGET } from './find.ts'
import { POLICY_COLUMNS, policyJson, policyRow } from './policy-rows.ts'

export const policyPause = pausing('pause', true, 'Pauses a sync policy until it is resumed; syncs in progress continue')
export const policyResume = pausing('resume', false, 'Resumes a paused sync policy at its next time')

function pausing(verb: string, paused: boolean, summary: string): Command {
  return defineCommand({
    noun: 'policy',
    verb,
    summary,
    role: 'admin',
    effect: 'write',
    targets: [POLICY_TARGET],
    examples: [`policy ${verb} keep-two`],
    run({ policies, policyRuns, actor, clock }, { targets }) {
      const before = onePolicy({ policies }, targets[0] ?? '')
      const nowMs = clock.nowMs()
      // Times that passed during the pause are not made up for.
      const anchor = before.paused && !paused ? { anchorMs: nowMs } : {}
      const policy = policies.change(before.name, { paused, ...anchor }) ?? before
      const runs = policyRuns.list(policy.name)
      return Promise.resolve(
        makeView({
          title: `Policy ${policy.name} ${paused ? 'paused' : 'resumed'}`,
          columns: POLICY_COLUMNS,
          rows: [policyRow(policy, runs, actor, nowMs)],
          asOfMs: nowMs,
          json: { ...policyJson(policy, runs, actor, nowMs), asOf: formatTime(nowMs) },
        }),
      )
    },
  })
}
