// The sync policies in the bot's database. A trigger follows the names of stores when they are changed.

import { z } from 'zod'
import { imageKindSchema } from '../../protocol/images/image.ts'
import { problem } from '../../protocol/problems.ts'
import { parseLabelFilter } from '../../protocol/images/image-list.ts'
import type { BotDatabase } from '../system/database.ts'
import { labelWords } from './policy.ts'
import type { Policy, PolicyRule, PolicyScope } from './policy.ts'

/** Most policies of a fleet. */
export const POLICIES_MAX = 200

const kindsSchema = z.array(imageKindSchema)

export type PolicyChange = Partial<Omit<Policy, 'createdMs'>>

export interface Policies {
  /** All policies by name. */
  list(): Policy[]
  /** Finds a policy by name, ignoring case. */
  find(name: string): Policy | undefined
  /** Throws `limit-reached`, and `conflict` for a name that is taken. */
  add(policy: Policy): void
  /** Changes a policy and returns it; undefined if there is none with this name. Throws `conflict` for a name that is taken. */
  change(name: string, change: PolicyChange): Policy | undefined
  /** Removes a policy with its runs; returns false if there is none with this name. */
  remove(name: string): boolean
  /** Lets the policies that name a store name another one: those that follow it, and those that keep copies in it. */
  repoint(from: string, to: string): void
}

interface Row {
  name: string
  kind: 'keep' | 'follow'
  copies: number
  source: string | null
  scope: 'store' | 'zone' | 'all'
  place: string | null
  labels: string
  kinds: string
  grace_ms: number
  cron: string
  timezone: string
  paused: number
  created_ms: number
  anchor_ms: number
}

/** Creates the policies on the bot's database; a change is durable when the call returns. */
export function createPolicies(database: BotDatabase): Policies {
  const list = database.query<Row, []>('SELECT * FROM policies ORDER BY name')
  const find = database.query<Row, { name: string }>('SELECT * FROM policies WHERE name = $name')
  const insert = database.query<null, { [Key in keyof Row]: Row[Key] }>(
    `INSERT INTO policies (name, kind, copies, source, scope, place, labels, kinds, grace_ms, cron, timezone, paused, created_ms, anchor_ms)
     VALUES ($name, $kind, $copies, $source, $scope, $place, $labels, $kinds, $grace_ms, $cron, $timezone, $paused, $created_ms, $anchor_ms)`,
  )
  const update = database.query<null, { [Key in keyof Row]: Row[Key] } & { old: string }>(
    `UPDATE policies SET name = $name, kind = $kind, copies = $copies, source = $source, scope = $scope, place = $place, labels = $labels, kinds = $kinds,
       grace_ms = $grace_ms, cron = $cron, timezone = $timezone, paused = $paused, created_ms = $created_ms, anchor_ms = $anchor_ms WHERE name = $old`,
  )
  const remove = database.query<{ name: string }, { name: string }>('DELETE FROM policies WHERE name = $name RETURNING name')
  const follow = database.query<null, { from: string; to: string }>('UPDATE policies SET source = $to WHERE source = $from')
  const place = database.query<null, { from: string; to: string }>("UPDATE policies SET place = $to WHERE scope = 'store' AND place = $from")
  const refuseTaken = (name: string): void => {
    if (find.get({ name })) throw problem('conflict', `There is a policy ${name} already.`, { action: 'Choose another name.' })
  }
  const change = database.transaction((name: string, changed: PolicyChange): Policy | undefined => {
    const row = find.get({ name })
    if (!row) return undefined
    const before = toPolicy(row)
    const after = { ...before, ...changed }
    if (after.name.toLowerCase() !== before.name.toLowerCase()) refuseTaken(after.name)
    update.run({ ...toRow(after), old: before.name })
    return after
  })
  return {
    list: () => list.all().map(toPolicy),
    find: (name) => {
      const row = find.get({ name })
      return row ? toPolicy(row) : undefined
    },
    add: database.transaction((policy: Policy) => {
      refuseTaken(policy.name)
      if (list.all().length >= POLICIES_MAX)
        throw problem('limit-reached', `There are ${POLICIES_MAX} policies.`, { action: 'Delete one that is not needed with policy delete.' })
      insert.run(toRow(policy))
    }).immediate,
    change: (name, changed) => change.immediate(name, changed),
    remove: (name) => remove.all({ name }).length > 0,
    repoint: database.transaction((from: string, to: string) => {
      follow.run({ from, to })
      place.run({ from, to })
    }).immediate,
  }
}

function toPolicy(row: Row): Policy {
  return {
    name: row.name,
    rule: toRule(row),
    scope: toScope(row),
    labels: row.labels === '' ? [] : parseLabelFilter(row.labels),
    kinds: kindsSchema.parse(JSON.parse(row.kinds)),
    graceMs: row.grace_ms,
    cron: row.cron,
    timezone: row.timezone,
    paused: row.paused === 1,
    createdMs: row.created_ms,
    anchorMs: row.anchor_ms,
  }
}

function toRule({ kind, copies, source }: Row): PolicyRule {
  return kind === 'follow' ? { kind, source: source ?? '' } : { kind, copies }
}

function toScope({ scope, place }: Row): PolicyScope {
  if (scope === 'all') return { kind: 'all' }
  return scope === 'zone' ? { kind: 'zone', zone: place ?? '' } : { kind: 'store', store: place ?? '' }
}

function toRow({ rule, scope, labels, kinds, ...policy }: Policy): Row {
  return {
    name: policy.name,
    kind: rule.kind,
    copies: rule.kind === 'keep' ? rule.copies : 0,
    source: rule.kind === 'follow' ? rule.source : null,
    scope: scope.kind,
    place: scope.kind === 'all' ? null : scope.kind === 'zone' ? scope.zone : scope.store,
    labels: labelWords(labels),
    kinds: JSON.stringify(kinds),
    grace_ms: policy.graceMs,
    cron: policy.cron,
    timezone: policy.timezone,
    paused: policy.paused ? 1 : 0,
    created_ms: policy.createdMs,
    anchor_ms: policy.anchorMs,
  }
}
