// Media groups as answers.

import type { MediaGroup } from '../../../protocol/images/media-group.ts'
import { formatTime } from '../../../protocol/time.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { View } from '../../../protocol/views/view.ts'
import { refuseChoice } from '../refused-value.ts'

export interface FoundGroup {
  readonly store: StoreRecord
  readonly group: MediaGroup
}

/** One group after a change. */
export function groupView(title: string, { store, group }: FoundGroup, asOfMs: number): View {
  return makeView({
    title,
    tone: 'good',
    fields: [
      { label: 'Group', value: group.name },
      { label: 'Store', value: store.name },
      { label: 'Visible', value: visibleWords(group) },
      { label: 'Images', value: String(group.images) },
      ...(group.description === '' ? [] : [{ label: 'Description', value: group.description }]),
    ],
    asOfMs,
    json: { ...groupJson({ store, group }), asOf: formatTime(asOfMs) },
  })
}

/** A group for `--json`: the members of the HTTP interface, and the store. */
export function groupJson({ store, group }: FoundGroup): Record<string, unknown> {
  return { store: store.name, ...group }
}

/** Who sees the images of a group that have no grants. */
export function visibleWords({ visible }: Pick<MediaGroup, 'visible'>): string {
  return visible ? 'to every viewer' : 'hidden: only owners, operators and users with a grant see its images'
}

/** Returns the value of `visible=`. Throws `invalid-input`. */
export function parseVisible(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined
  if (text === 'true' || text === 'false') return text === 'true'
  throw refuseChoice('visible', text, ['true', 'false'])
}
