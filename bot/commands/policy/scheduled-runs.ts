// Runs policies at their times, in the bot's service: one after the other, once for all times that were missed.

import { errorText } from '../../../protocol/errors.ts'
import type { CommandContext } from '../command.ts'
import type { Clock } from '../../system/clock.ts'
import type { Log } from '../../system/log.ts'
import { nextRunMs } from '../../policies/cron.ts'
import { orderCopies, startRun } from './start-run.ts'
import type { PolicyRun } from '../../policies/runs.ts'
import { endRun, settleRuns } from './settle-runs.ts'

/** Interval between two looks at what is due, in milliseconds. */
export const POLICY_TICK_MS = 2_000

/** Starts to run the policies as the actor of the context; disposing waits for the step in progress. Tasks in the stores continue without the bot. */
export function runPolicies(context: CommandContext, { clock, log }: { readonly clock: Clock; readonly log: Log }): AsyncDisposable {
  let isFirst = true
  let isStopped = false
  let running: Promise<void> | undefined
  const look = async (): Promise<void> => {
    try {
      await resumeRuns(context, isFirst)
      isFirst = false
      await settleRuns(context)
      for (const policy of duePolicies(context)) {
        // The scheduled time passes while a run is in progress.
        if (isStopped) return
        const started = await startRun(context, policy, 'schedule')
        if (started) log.info('a policy runs', { policy: policy.name, copies: started.run.copies.length })
      }
      await settleRuns(context)
    } catch (error) {
      log.error('running the policies failed', { error })
    }
  }
  const begin = (): void => {
    running ??= look().finally(() => {
      running = undefined
    })
  }
  begin()
  const timer = clock.every(POLICY_TICK_MS, begin)
  return {
    async [Symbol.asyncDispose]() {
      isStopped = true
      timer[Symbol.dispose]()
      await running
    },
  }
}

function duePolicies({ policies, clock }: CommandContext): ReturnType<CommandContext['policies']['list']> {
  const nowMs = clock.nowMs()
  return policies.list().filter((policy) => {
    const nextMs = nextRunMs(policy, nowMs)
    return nextMs !== null && nextMs <= nowMs
  })
}

/** Goes on with runs whose process ended while it ordered copies. What the previous service left is taken over at the start of this one. */
async function resumeRuns(context: CommandContext, isStart: boolean): Promise<void> {
  for (const run of context.policyRuns.open()) {
    if (run.isOrdered || !context.policyRuns.acquire(run.id, context.clock.nowMs(), isStart && run.cause === 'schedule')) continue
    await resumeRun(context, run)
  }
}

async function resumeRun(context: CommandContext, run: PolicyRun): Promise<void> {
  const policy = context.policies.find(run.policy)
  if (!policy) return
  try {
    await orderCopies(context, policy, run, run.failures)
  } catch (error) {
    // A defect must not stop the policies that come after this one.
    endRun(context, run, { outcome: 'failed', result: `The run stopped: ${errorText(error)}`, action: `Run it again: policy run ${run.policy}.`, failures: [] })
  }
}
