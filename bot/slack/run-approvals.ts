// Runs what a second person has approved: in the name of the person who asked, with the approver named, and only while the plan is the one that was approved. Each
// request is taken once. What an earlier run of the service left in progress is looked at first: it runs again only if nothing of it has happened.

import { ON_BEHALF_LENGTH_MAX } from '../../protocol/on-behalf.ts'
import { ProblemError } from '../../protocol/problems.ts'
import { errorText } from '../../protocol/errors.ts'
import type { Approval, RunResult } from '../approvals/approvals.ts'
import { bulkId } from '../bulk/bulk-run.ts'
import type { CommandActor, CommandContext } from '../commands/command.ts'
import { parseLine, runParsed } from '../commands/run.ts'
import type { OpenBot } from '../open.ts'
import type { Log } from '../system/log.ts'
import type { View } from '../../protocol/views/view.ts'
import type { Authority } from './authorise.ts'

/** How often the requests are looked at, in milliseconds: another process may have approved one. */
export const APPROVAL_POLL_MS = 500

export interface RunApprovalsDeps {
  readonly bot: Pick<OpenBot, 'context' | 'approvals' | 'audit' | 'bulkRuns' | 'clock' | 'fleet'>
  readonly authority: Pick<Authority, 'refresh' | 'actorOf'>
  readonly log: Log
}

/** Starts to run approved requests, one after the other; disposing waits for the one in progress. */
export function runApprovals(deps: RunApprovalsDeps): AsyncDisposable {
  const { bot, log } = deps
  const { approvals, clock } = bot
  const run = crypto.randomUUID()
  const stop = new AbortController()

  const look = async (): Promise<void> => {
    for (const approval of approvals.expire(clock.nowMs())) recordSettled(bot, approval, 'refused', 'The request expired before it was approved and started.')
    for (const approval of approvals.left(run)) if (approvals.takeOver(approval.id, run)) await settleLeft(deps, run, approval)
    for (let next = approvals.claim(run, clock.nowMs()); next; next = stop.signal.aborted ? undefined : approvals.claim(run, clock.nowMs()))
      await runApproved(deps, run, next)
  }
  const work = (async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const changed = approvals.changed()
      try {
        await look()
      } catch (error) {
        log.error('running what was approved failed', { error })
      }
      await Promise.race([changed, clock.sleep(APPROVAL_POLL_MS, stop.signal).catch(() => {})])
    }
  })()
  return {
    async [Symbol.asyncDispose]() {
      stop.abort()
      await work
    },
  }
}

/** The person who asked, with the roles that count now; requests to the agents name the approver too. */
async function approvedActor({ authority }: RunApprovalsDeps, approval: Approval): Promise<CommandActor> {
  await authority.refresh()
  const { requester, requesterName, decider, deciderName, channel } = approval
  const both = `${requesterName}, approved by ${deciderName}`
  const name = both.length <= ON_BEHALF_LENGTH_MAX ? both : `${requester}, approved by ${decider || 'the console'}`
  return { ...authority.actorOf({ user: requester, userName: requesterName, channel }), name }
}

async function runApproved(deps: RunApprovalsDeps, run: string, approval: Approval): Promise<void> {
  const { bot, log } = deps
  const { id, plan, channel, line } = approval
  let result: RunResult
  try {
    const context: CommandContext = { ...bot.context(await approvedActor(deps, approval), 'slack'), channel, via: 'approval', approval: { id, plan } }
    result = resultOf(approval, await runParsed(context, parseLine(context, line)))
  } catch (error) {
    // Only a defect throws. What it did is not known, so the sentence does not say that nothing happened.
    log.error('an approved command failed', { error, id })
    result = { state: 'failed', result: `The command stopped: ${errorText(error)}`, next: `See what it did, then run it again: ${approval.command}` }
  }
  bot.approvals.end(id, run, result, bot.clock.nowMs())
}

function resultOf({ command }: Approval, view: View): RunResult {
  const said = view.text === '' ? view.title : view.text
  if (view.outcome === 'done') return { state: 'done', result: said, next: '', view }
  if (view.confirm) {
    const next = `Look at the new plan, and run the command again to ask again: ${command}`
    return { state: 'changed', result: 'The plan is no longer the one that was approved. Nothing was changed.', next, view }
  }
  const next = view.fields.find(({ label }) => label === 'Next')?.value ?? `Run the command again: ${command}`
  return { state: 'failed', result: said, next, view }
}

type Fate = 'gone' | 'there' | 'unknown'

/** Settles a request that was running when the service was stopped. */
async function settleLeft(deps: RunApprovalsDeps, run: string, approval: Approval): Promise<void> {
  const { bot } = deps
  const { id, subjects, command } = approval
  const begun = bot.bulkRuns.ofOrigin(`approval ${id}`)
  if (begun) {
    const result: RunResult = { state: 'done', result: `${bulkId(begun)} carries it out: its card shows how it goes.`, next: '' }
    if (bot.approvals.end(id, run, result, bot.clock.nowMs())) recordSettled(bot, approval, 'done', result.result)
    return
  }
  const intoBin = command.startsWith('image delete ')
  const fates = await Promise.all(subjects.map((subject) => fateOf(deps, subject, intoBin)))
  const named = (fate: Fate): string =>
    subjects.flatMap(({ name, store }, i) => (fates[i] === fate ? [store === name ? name : `${name} in ${store}`] : [])).join(', ')
  if (fates.every((fate) => fate === 'there')) return runApproved(deps, run, approval)
  const isDone = fates.every((fate) => fate === 'gone')
  const parts = [
    'The service was stopped while this ran.',
    ...(named('gone') === '' ? [] : [`Deleted: ${named('gone')}.`]),
    ...(named('there') === '' ? [] : [`Still there: ${named('there')}.`]),
    ...(named('unknown') === '' ? [] : [`Not known, because the store does not answer: ${named('unknown')}.`]),
  ]
  const next = isDone ? '' : `Name what is still there in a new request: ${command.split(' ').slice(0, 2).join(' ')}`
  const result: RunResult = { state: isDone ? 'done' : 'interrupted', result: parts.join(' '), next }
  if (bot.approvals.end(id, run, result, bot.clock.nowMs())) recordSettled(bot, approval, isDone ? 'done' : 'failed', result.result)
}

async function fateOf({ bot }: RunApprovalsDeps, { kind, store, id }: Approval['subjects'][number], intoBin: boolean): Promise<Fate> {
  const record = bot.fleet.registry.find(store)
  if (kind === 'store') return record ? 'there' : 'gone'
  if (!record) return 'unknown'
  const contact = await bot.fleet.contact(record, (agent) => agent.images.get(id))
  if (contact.kind === 'answered') return contact.value.status === 'deleting' || (intoBin && contact.value.status === 'deleted') ? 'gone' : 'there'
  return contact.kind === 'refused' && contact.error instanceof ProblemError && contact.error.code === 'not-found' ? 'gone' : 'unknown'
}

/** Records how a request ended without a command that records itself. */
function recordSettled({ audit, clock }: RunApprovalsDeps['bot'], approval: Approval, outcome: string, detail: string): void {
  const { requesterName, deciderName, command, channel, id } = approval
  const actor = deciderName === '' ? requesterName : `${requesterName}, approved by ${deciderName}`
  audit.append({
    timeMs: clock.nowMs(),
    actor,
    surface: 'service',
    channel,
    via: 'approval',
    effect: 'destroy',
    command,
    target: `approval ${id}`,
    outcome,
    detail,
  })
}
