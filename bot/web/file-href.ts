// The address under which the page downloads a file of a store.

import { roleIncludes } from '../../protocol/access.ts'
import type { StoreFile } from '../../protocol/views/view.ts'
import type { CommandContext } from '../commands/command.ts'
import { roleIn } from '../commands/permit.ts'

/** The address that downloads a file; undefined for whoever may not read files: they can be images that are hidden. */
export function fileHref({ actor, fleet }: Pick<CommandContext, 'actor' | 'fleet'>, { store, path }: StoreFile): string | undefined {
  const record = fleet.registry.find(store)
  if (!record || !roleIncludes(roleIn(actor, record), 'operator')) return undefined
  return `/stores/${encodeURIComponent(record.name)}/file?${new URLSearchParams({ path }).toString()}`
}
