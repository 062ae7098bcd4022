// What every destructive command shares: first the plan, its checklist and the question for the name, then, once the name was typed, the same
// plan again. A plan that changed in between is shown again, with what changed, and not executed.

import { planChanges } from '../approvals/plans.ts'
import type { PlanFacts, PlanPromise } from '../approvals/plans.ts'
import { formatTime } from '../../protocol/time.ts'
import { makeView } from '../../protocol/views/view.ts'
import type { ChecklistItem, View } from '../../protocol/views/view.ts'
import type { CommandContext, CommandInput } from './command.ts'
import { askSecondPerson, needsSecondPerson } from './second-person.ts'
import type { ApprovalNeed } from './second-person.ts'

export interface DestroyPlan {
  readonly title: string
  /** Names to type, one for each thing that would be deleted. The ids in `aliases`, in the same order, are accepted as well. */
  readonly names: readonly string[]
  readonly aliases?: readonly string[]
  readonly question: string
  /** What must not change until the name was typed: the ids of what would be deleted, and how final it is. */
  readonly essence: readonly string[]
  /** Bytes, dependants and the estimated duration, as they are shown. */
  readonly promises?: readonly PlanPromise[]
  readonly checklist: readonly ChecklistItem[]
  /** The command line without `--confirm` and `--plan`. */
  readonly command: string
  readonly notes?: readonly string[]
  /** Why a second person must approve it, where the rule asks for one. */
  readonly approval?: ApprovalNeed | undefined
}

/** Returns undefined when the plan may be executed, else the View that says what is missing. */
export function gate(context: CommandContext, input: Pick<CommandInput, 'confirm' | 'plan'>, plan: DestroyPlan): View | undefined {
  const { promises = [] } = plan
  const facts: PlanFacts = { names: plan.names, essence: plan.essence, checks: plan.checklist.map(({ label, passed }) => ({ label, passed })), promises }
  const asOfMs = context.clock.nowMs()
  const hash = context.plans.keep(facts, asOfMs)
  const blocking = plan.checklist.filter((item) => !item.passed)
  const typedName = plan.names.join(', ')
  const json = {
    confirm: typedName,
    question: plan.question,
    plan: promises.map(({ label, value }) => ({ label, value })),
    planHash: hash,
    checklist: plan.checklist,
    blocked: blocking.length > 0,
    asOf: formatTime(asOfMs),
  }
  const base = {
    title: plan.title,
    fields: [
      ...promises.map(({ label, value }) => ({ label, value })),
      ...plan.checklist.map((item) => ({ label: item.label, value: item.detail, tone: item.passed ? ('good' as const) : ('bad' as const) })),
    ],
    notes: plan.notes ?? [],
    outcome: 'refused' as const,
    asOfMs,
    json,
  }
  if (blocking.length > 0) {
    return makeView({
      ...base,
      tone: 'bad',
      text: `Not possible now. ${blocking.map((item) => `${item.label}: ${item.detail}.`).join(' ')} Nothing was changed.`,
    })
  }
  const confirm = {
    name: typedName,
    question: plan.question,
    promises: promises.map(({ label, value }) => ({ label, value })),
    checklist: plan.checklist,
    command: `${plan.command} --plan=${hash}`,
  }
  if (input.confirm.length === 0) {
    return makeView({ ...base, tone: 'warning', text: `${plan.question} To confirm, type the name: --confirm "${typedName}".`, confirm })
  }
  const typed = input.confirm.flatMap((text) => (plan.names.includes(text) ? [text] : text.split(',').map((part) => part.trim())))
  if (!namesEverything(typed, plan))
    return makeView({ ...base, tone: 'bad', text: `"${input.confirm.join(', ')}" is not the name "${typedName}". Nothing was changed.` })
  // What was approved is this plan and no other one, also when the command looks again later.
  const expected = input.plan ?? context.approval?.plan
  if (expected !== undefined && expected !== hash) {
    const shown = context.plans.find(expected)
    const changes = shown ? planChanges(shown, facts) : []
    return makeView({
      ...base,
      tone: 'warning',
      text: 'The plan has changed since the name was typed. Nothing was changed: check it and confirm again.',
      notes: [...changes, ...base.notes],
      confirm,
      json: { ...json, changes },
    })
  }
  if (needsSecondPerson(context, plan.approval)) {
    const { title, question, names, command, approval: need } = plan
    return askSecondPerson(context, { title, question, names, command, hash, facts: base.fields.map(({ label, value }) => ({ label, value })), need })
  }
  return undefined
}

/** Whether each thing of the plan was typed, by name or id, and nothing else. Two things with the same name need two words. */
function namesEverything(typed: readonly string[], { names, aliases = [] }: DestroyPlan): boolean {
  const left = [...typed]
  const take = (word: string | undefined): boolean => {
    const at = word === undefined ? -1 : left.indexOf(word)
    if (at >= 0) left.splice(at, 1)
    return at >= 0
  }
  const untyped = names.filter((_name, i) => !take(aliases[i])).filter((name) => !take(name))
  const allowed = new Set([...names, ...aliases])
  return untyped.length === 0 && left.every((word) => allowed.has(word))
}
