// Parts of a store that parts opened before them call: slices ask uploads, syncs and images what they need, and images ask uploads.

import type { Catalogue } from '../images/catalogue.ts'
import type { Sync } from '../sync/sync.ts'
import type { Uploads } from '../uploads/uploads.ts'
import type { Visibility } from '../visibility/visibility.ts'

interface Parts {
  catalogue: Catalogue
  visibility: Visibility
  uploads: Uploads
  sync: Sync
}

/** Reading a part before it was set throws: an empty answer in its place could make gc remove slices. */
export type LateParts = Parts & { has(name: keyof Parts): boolean }

export function createLateParts(): LateParts {
  const parts: Partial<Parts> = {}
  const need = <Name extends keyof Parts>(name: Name): NonNullable<Partial<Parts>[Name]> => {
    const part = parts[name]
    if (part === undefined) throw new Error(`${name} is not open yet`)
    return part
  }
  return {
    has: (name) => parts[name] !== undefined,
    get catalogue() {
      return need('catalogue')
    },
    set catalogue(part) {
      parts.catalogue = part
    },
    get visibility() {
      return need('visibility')
    },
    set visibility(part) {
      parts.visibility = part
    },
    get uploads() {
      return need('uploads')
    },
    set uploads(part) {
      parts.uploads = part
    },
    get sync() {
      return need('sync')
    },
    set sync(part) {
      parts.sync = part
    },
  }
}
