// The kinds of images that a store takes, as commands write and show them.

import { imageKindSchema } from '../../../../protocol/images/image.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { nearestName } from '../../../../protocol/nearest.ts'
import { problem } from '../../../../protocol/problems.ts'
import type { Store } from '../../../../protocol/store.ts'
import { plural } from '../../../../protocol/views/phrases.ts'

/** Word that applies the value of the configuration again, and the one for no restriction. */
const RESET = 'configured'
const ALL = 'all'

type ImageKind = Image['kind']

export const KINDS_OPTION = {
  about: `the only kinds of images that the store takes: ${imageKindSchema.options.join(', ')}; all, or configured; applies at once, and images that are there stay`,
  value: 'template,iso',
  choices: [...imageKindSchema.options, ALL, RESET],
  isMany: true,
} as const

/** Returns the kinds of kinds=, none for all; null for those of the configuration. Throws `invalid-input`. */
export function parseKinds(text: string): ImageKind[] | null {
  if (text === RESET) return null
  if (text === ALL) return []
  const words = text.split(',').map((word) => word.trim())
  const kinds = words.map((word) => imageKindSchema.safeParse(word).data)
  const wrong = words.find((_word, i) => kinds[i] === undefined)
  if (wrong === undefined) return [...new Set(kinds.flatMap((kind) => kind ?? []))]
  const known = [...imageKindSchema.options, ALL, RESET]
  const meant = wrong === '' ? undefined : nearestName(wrong, known)
  throw problem('invalid-input', `kinds=${text} is not understood: "${wrong}" is no kind of image.`, {
    action: meant === undefined ? `Write kinds with commas between them: ${known.join(', ')}.` : `Did you mean ${meant}?`,
  })
}

/** `template, iso`, with what the configuration says if an operator changed it. */
export function kindsText({ accepted, configured }: NonNullable<Store['kinds']>): string {
  const isChanged = accepted.length !== configured.length || accepted.some((kind) => !configured.includes(kind))
  return isChanged ? `${listed(accepted)} (the configuration says ${listed(configured)})` : listed(accepted)
}

/** `template, iso`; `all` without a restriction. */
export function listed(kinds: readonly ImageKind[]): string {
  return kinds.length === 0 ? 'all' : kinds.join(', ')
}

/** `3 images of the kind disk, 1 of the kind snapshot`: what a store holds although it does not take it; undefined for nothing. The recycle bin counts. */
export function otherKinds({ kinds, usage }: Pick<Store, 'kinds' | 'usage'>): string | undefined {
  if (!kinds || kinds.accepted.length === 0 || !usage) return undefined
  const held = imageKindSchema.options.flatMap((kind) => {
    const count = usage.byKind[kind]?.count ?? 0
    return count === 0 || kinds.accepted.includes(kind) ? [] : [{ kind, count }]
  })
  if (held.length === 0) return undefined
  return held.map(({ kind, count }, i) => (i === 0 ? `${plural(count, 'image')} of the kind ${kind}` : `${count} of the kind ${kind}`)).join(', ')
}

/** What a store holds that it would refuse today, and what to do; nothing for a store that takes all that it has. */
export function otherKindsNotes(name: string, store: Pick<Store, 'kinds' | 'usage'> | null): string[] {
  const held = store ? otherKinds(store) : undefined
  return held === undefined
    ? []
    : [`${name} holds ${held}, which it does not take any more: they stay usable. Move them with image migrate, or add their kinds to kinds=.`]
}
