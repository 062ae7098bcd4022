// The settings of media groups in memory: which group an image belongs to, and whether it is hidden.

import type { Image } from '../../../protocol/images/image.ts'
import type { GroupRecord, GroupSettings } from './group-file.ts'

export interface GroupRecords {
  settings(): GroupSettings
  /** Returns the settings of the group that has this name now. */
  named(name: string): GroupRecord | undefined
  /** Returns the settings of the group that has this name or had it before. */
  of(name: string): GroupRecord | undefined
  isHidden(name: string): boolean
  /** Returns an image with the current name of its group, and whether it is hidden. */
  place(image: Image): Image
  replace(settings: GroupSettings): void
}

/** Creates the records of a store without media groups. */
export function createGroupRecords(): GroupRecords {
  let settings: GroupSettings = { records: [], othersHidden: false }
  let byName = new Map<string, GroupRecord>()
  const of = (name: string): GroupRecord | undefined => byName.get(name)
  const isHidden = (name: string): boolean => {
    const record = of(name)
    return record ? !record.visible : settings.othersHidden
  }
  return {
    settings: () => settings,
    named(name) {
      const record = of(name)
      return record?.name === name ? record : undefined
    },
    of,
    isHidden,
    place(image) {
      // An empty text is no group.
      const mediaGroup = image.mediaGroup ? (of(image.mediaGroup)?.name ?? image.mediaGroup) : image.mediaGroup
      const hidden = mediaGroup ? isHidden(mediaGroup) : false
      return image.mediaGroup === mediaGroup && image.hidden === hidden ? image : { ...image, mediaGroup, hidden }
    },
    replace(next) {
      settings = next
      byName = new Map(next.records.flatMap((record) => [record.name, ...record.formerNames].map((name) => [name, record] as const)))
    },
  }
}
