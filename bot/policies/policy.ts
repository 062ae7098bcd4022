// A sync policy: what copies of images the stores of a fleet should have. The planner (plan.ts) turns it into copies to make.

import type { Image } from '../../protocol/images/image.ts'
import type { LabelFilter } from '../../protocol/images/image-list.ts'
import { formatDuration } from '../../protocol/units.ts'

/** Most copies that a policy may ask for. */
export const COPIES_MAX = 16

/** The stores that a policy is about. */
export type PolicyScope =
  | { readonly kind: 'store'; readonly store: string }
  | { readonly kind: 'zone'; readonly zone: string }
  /** Every store of the fleet. */
  | { readonly kind: 'all' }

/** What a policy asks for. */
export type PolicyRule =
  /** This number of stores of the scope has each image, wherever in the fleet the image is now. */
  | { readonly kind: 'keep'; readonly copies: number }
  /** Each store of the scope has the images of the source. */
  | { readonly kind: 'follow'; readonly source: string }

/** What decides which copies a policy asks for, without its times. */
export interface PolicyTerms {
  readonly name: string
  readonly scope: PolicyScope
  readonly rule: PolicyRule
  /** Labels that an image must have, all of them. */
  readonly labels: readonly LabelFilter[]
  /** Kinds of images; empty for all kinds except virtual disks, which belong to one instance. */
  readonly kinds: readonly Image['kind'][]
  /** How long a store may be silent before the copies that it may have are replaced, in milliseconds. */
  readonly graceMs: number
}

export interface Policy extends PolicyTerms {
  /** When it runs: five fields, in this time zone. */
  readonly cron: string
  readonly timezone: string
  readonly paused: boolean
  readonly createdMs: number
  /** It runs at the first time after this one, in milliseconds since 1970: its last run, or when it was added or changed. */
  readonly anchorMs: number
}

/** Returns whether a policy is about this image. */
export function governs({ labels, kinds }: Pick<PolicyTerms, 'labels' | 'kinds'>, image: Pick<Image, 'labels' | 'kind'>): boolean {
  if (kinds.length === 0 ? image.kind === 'virtualDisk' : !kinds.includes(image.kind)) return false
  return labels.every(({ key, value }) => Object.hasOwn(image.labels, key) && (value === undefined || image.labels[key] === value))
}

/** Returns whether a store is in a scope. */
export function isInScope(scope: PolicyScope, store: { readonly name: string; readonly zone: string }): boolean {
  switch (scope.kind) {
    case 'store':
      return store.name === scope.store
    case 'zone':
      return store.zone === scope.zone
    case 'all':
      return true
  }
}

/** `zone-1`, `edge-b`, `all stores`. */
export function scopeWords(scope: PolicyScope): string {
  if (scope.kind === 'all') return 'all stores'
  return scope.kind === 'zone' ? `zone ${scope.zone}` : scope.store
}

/** `keeps 2 copies of images with label env=production in zone zone-1`. */
export function policyWords({ rule, scope, labels, kinds }: PolicyTerms): string {
  const which = [
    kinds.length === 0 ? 'images' : `images of the kind ${kinds.join(' or ')}`,
    ...(labels.length === 0 ? [] : [`with label ${labelWords(labels)}`]),
  ].join(' ')
  if (rule.kind === 'follow') return `copies ${which} of ${rule.source} to ${scope.kind === 'store' ? '' : 'each store of '}${scopeWords(scope)}`
  if (scope.kind === 'store') return `keeps a copy of ${which} in ${scope.store}`
  return `keeps ${rule.copies === 1 ? '1 copy' : `${rule.copies} copies`} of ${which} in ${scopeWords(scope)}`
}

/** The labels as they are written in a command: `env=production,team`. */
export function labelWords(labels: readonly LabelFilter[]): string {
  return labels.map(({ key, value }) => (value === undefined ? key : `${key}=${value}`)).join(',')
}

/** `4 h`. */
export function graceWords(graceMs: number): string {
  return graceMs === 0 ? 'none' : formatDuration(graceMs)
}
