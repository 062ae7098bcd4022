// Parts of a store that parts opened before them call: slices ask uploads, syncs and images what they need, images ask uploads, and uploads ask tasks.

import type { Catalogue } from '../../images/catalogue.ts'
import type { Healing } from '../../sync/heal/healing.ts'
import type { Sync } from '../../sync/sync.ts'
import type { TaskQueue } from '../../tasks/tasks.ts'
import type { Uploads } from '../../uploads/uploads.ts'
import type { Visibility } from '../../visibility/visibility.ts'

interface Parts {
  catalogue: Catalogue
  visibility: Visibility
  uploads: Uploads
  sync: Sync
  healing: Healing
  tasks: TaskQueue
}

export interface LateParts {
  /** Returns a part. Throws before it was set: an empty answer in its place could make gc remove slices. */
  get<Name extends keyof Parts>(name: Name): Parts[Name]
  /** Sets a part and returns it. */
  set<Name extends keyof Parts>(name: Name, part: Parts[Name]): Parts[Name]
  has(name: keyof Parts): boolean
}

export function createLateParts(): LateParts {
  const parts: Partial<Parts> = {}
  return {
    get(name) {
      const part = parts[name]
      if (part === undefined) throw new Error(`${name} is not open yet`)
      return part
    },
    set: (name, part) => (parts[name] = part),
    has: (name) => parts[name] !== undefined,
  }
}
