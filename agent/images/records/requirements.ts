// The least resources of an image: what was set for it, else what the catalogue of operating systems says. image.json stores only what was set, so
// that a better catalogue applies to images that exist.

import type { Image } from '../../../protocol/images/image.ts'
import { findSystem } from '../../../protocol/images/operating-systems.ts'

type Requirements = NonNullable<Image['requirements']>
type Described = Pick<Image, 'os' | 'requirements'>

const UNKNOWN: Requirements = { cpus: null, memory: null, disk: null }

/** Returns the requirements of an image with those of its system where none was set; null if nothing is known. */
export function completeRequirements({ os, requirements }: Described): Image['requirements'] {
  const system = os === null ? undefined : findSystem(os)?.requirements
  if (!system) return requirements
  const set = requirements ?? UNKNOWN
  return { cpus: set.cpus ?? system.cpus, memory: set.memory ?? system.memory, disk: set.disk ?? system.disk }
}

/** Returns only the requirements that differ from those of the system; null if none does. */
export function ownRequirements({ os, requirements }: Described): Image['requirements'] {
  const system = os === null ? undefined : findSystem(os)?.requirements
  if (!system || requirements === null) return requirements
  const own = (key: keyof Requirements): number | null => (requirements[key] === system[key] ? null : requirements[key])
  const kept = { cpus: own('cpus'), memory: own('memory'), disk: own('disk') }
  return kept.cpus === null && kept.memory === null && kept.disk === null ? null : kept
}
