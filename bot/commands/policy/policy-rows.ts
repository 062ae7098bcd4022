// Policies, their plans and their runs as answers.

import { roleIncludes } from '../../../protocol/access.ts'
import { formatTime } from '../../../protocol/time.ts'
import { nextRunMs } from '../../policies/cron.ts'
import type { PolicyPlan } from '../../policies/plan.ts'
import { graceWords, labelWords, policyWords } from '../../policies/policy.ts'
import type { Policy } from '../../policies/policy.ts'
import type { PolicyRun } from '../../policies/runs.ts'
import type { Column, Field, Row, Tone } from '../../../protocol/views/view.ts'
import { asSentence, copiesWords, formatAt, formatBytes, plural, UNKNOWN } from '../../../protocol/views/phrases.ts'
import type { CommandActor } from '../command.ts'

/** Rows of a plan that are shown; the rest is counted. */
const PLAN_ROWS_MAX = 100
/** Runs that `policy show` lists. */
const RUNS_SHOWN_MAX = 5

export const POLICY_COLUMNS: readonly Column[] = [
  { key: 'name', label: 'Policy', isWhole: true },
  { key: 'what', label: 'What it does' },
  { key: 'state', label: 'State' },
  { key: 'cron', label: 'Cron', isMinor: true },
  { key: 'next', label: 'Next run' },
  { key: 'last', label: 'Last run', isMinor: true },
  { key: 'result', label: 'Last result' },
]

export const PLAN_COLUMNS: readonly Column[] = [
  { key: 'action', label: 'Action' },
  { key: 'image', label: 'Image', isWhole: true },
  { key: 'from', label: 'From', isWhole: true },
  { key: 'store', label: 'Store', isWhole: true },
  { key: 'bytes', label: 'Up to', align: 'right' },
]

export function policyRow(policy: Policy, runs: readonly PolicyRun[], actor: CommandActor, nowMs: number): Row {
  const state = policyState(policy, runs)
  const last = runs.find(({ endedMs }) => endedMs !== null)
  const nextMs = nextRunMs(policy, nowMs)
  return {
    tone: stateTones[state],
    cells: {
      name: policy.name,
      what: policyWords(policy),
      state,
      cron: `${policy.cron} (${policy.timezone})`,
      next: nextMs === null ? UNKNOWN : formatAt(nextMs),
      last: last ? formatAt(last.startedMs) : UNKNOWN,
      result: last ? resultWords(last, actor) : UNKNOWN,
    },
  }
}

const stateTones: Record<ReturnType<typeof policyState>, Tone> = { running: 'plain', paused: 'warning', failed: 'bad', waiting: 'good' }

/** `failed` is the outcome of the last run that has ended. */
export function policyState(policy: Policy, runs: readonly PolicyRun[]): 'running' | 'paused' | 'failed' | 'waiting' {
  const [newest] = runs
  if (newest?.endedMs === null) return 'running'
  if (policy.paused) return 'paused'
  return newest?.outcome === 'failed' ? 'failed' : 'waiting'
}

/** How a run ended. Below operator it names no image, since images with grants are hidden from viewers. */
export function resultWords({ outcome, result, endedMs }: PolicyRun, actor: CommandActor): string {
  if (endedMs === null) return 'running'
  if (roleIncludes(actor.role, 'operator')) return asSentence(result)
  return outcome === 'succeeded' ? 'Succeeded.' : 'Failed; an operator sees why.'
}

export function policyFields(policy: Policy, runs: readonly PolicyRun[], nowMs: number): Field[] {
  const nextMs = nextRunMs(policy, nowMs)
  const state = policyState(policy, runs)
  return [
    { label: 'Name', value: policy.name },
    { label: 'What it does', value: policyWords(policy) },
    { label: 'State', value: state, tone: stateTones[state] },
    { label: 'Cron', value: `${policy.cron} (${policy.timezone})` },
    { label: 'Next run', value: nextMs === null ? UNKNOWN : formatAt(nextMs) },
    { label: 'Grace', value: graceWords(policy.graceMs) },
    ...runs.slice(0, RUNS_SHOWN_MAX).flatMap(runFields),
  ]
}

function runFields(run: PolicyRun): Field[] {
  const tone: Tone = run.endedMs === null ? 'plain' : run.outcome === 'succeeded' ? 'good' : 'bad'
  const result = run.endedMs === null ? `${copiesWords(run.copies.length)} being made` : asSentence(run.result)
  const next = run.action === '' ? '' : ` ${run.action}`
  return [{ label: `Run of ${formatAt(run.startedMs)}`, value: `${result}${next}`, tone }]
}

export function planRows(plan: PolicyPlan): Row[] {
  const rows: Row[] = [
    ...plan.copies.map(({ name, target, sources, why, bytes }) => ({
      cells: { action: why === 'repair' ? 'repair' : 'copy', image: name, from: sources[0]?.store ?? UNKNOWN, store: target, bytes: formatBytes(bytes) },
    })),
    ...plan.removals.map(({ name, store }) => ({
      tone: 'warning' as const,
      cells: { action: 'remove', image: name, from: UNKNOWN, store, bytes: UNKNOWN },
    })),
  ]
  return rows.slice(0, PLAN_ROWS_MAX)
}

/** `It is about 3 images now: 2 copies of images to make, up to 4 GB, 1 finding.` */
export function planWords({ copies, removals, findings, moreFindings, images }: PolicyPlan): string {
  const bytes = copies.reduce((sum, copy) => sum + copy.bytes, 0)
  const parts = [
    copies.length === 0 ? 'nothing to copy' : `${copiesWords(copies.length)} to make, up to ${formatBytes(bytes)}`,
    ...(removals.length === 0 ? [] : [`${copiesWords(removals.length)} to remove`]),
    ...(findings.length === 0 ? [] : [plural(findings.length + moreFindings, 'finding')]),
  ]
  return `It is about ${plural(images, 'image')} now: ${parts.join(', ')}.`
}

export function planNotes(plan: PolicyPlan): string[] {
  const hidden = plan.copies.length + plan.removals.length - PLAN_ROWS_MAX
  return [
    ...plan.findings.map(({ text, action }) => `${text} ${action}`),
    ...(plan.moreFindings > 0 ? [`${plan.moreFindings} more findings are not shown.`] : []),
    ...(hidden > 0 ? [`${hidden} more actions are not shown.`] : []),
  ]
}

/** A policy for `--json`. */
export function policyJson(policy: Policy, runs: readonly PolicyRun[], actor: CommandActor, nowMs: number): Record<string, unknown> {
  const { name, rule, scope, labels, kinds, graceMs, cron, timezone, paused, createdMs } = policy
  const nextMs = nextRunMs(policy, nowMs)
  const last = runs.find(({ endedMs }) => endedMs !== null)
  return {
    name,
    ...(rule.kind === 'keep' ? { keep: rule.copies } : { follow: rule.source }),
    ...(scope.kind === 'store' ? { store: scope.store } : scope.kind === 'zone' ? { zone: scope.zone } : {}),
    label: labelWords(labels),
    kinds,
    graceSeconds: graceMs / 1000,
    cron,
    timezone,
    paused,
    state: policyState(policy, runs),
    createdAt: formatTime(createdMs),
    nextRunAt: nextMs === null ? null : formatTime(nextMs),
    lastRun: last ? runJson(last, actor) : null,
  }
}

/** A run for `--json`; below operator without the texts that name images. */
export function runJson(run: PolicyRun, actor: CommandActor): Record<string, unknown> {
  const { cause, startedMs, endedMs, outcome, action, removed, failures, findings } = run
  const seesAll = roleIncludes(actor.role, 'operator')
  return {
    cause,
    startedAt: formatTime(startedMs),
    endedAt: endedMs === null ? null : formatTime(endedMs),
    outcome,
    result: resultWords(run, actor),
    removed,
    ...(seesAll ? { action, copies: run.copies, failures, findings } : {}),
  }
}

/** A plan for `--json`. */
export function planJson({ copies, removals, findings, moreFindings, images }: PolicyPlan): Record<string, unknown> {
  return {
    images,
    copies: copies.map(({ name, target, sources, why, bytes }) => ({ image: name, store: target, from: sources, why, bytes })),
    removals: removals.map(({ name, store, imageIds }) => ({ image: name, store, ids: imageIds })),
    findings,
    moreFindings,
  }
}
