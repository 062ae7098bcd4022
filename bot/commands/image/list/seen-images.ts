// Which images people below operator see. The tokens of the bot see every image, so every command that names an image asks here.

import { roleIncludes } from '../../../../protocol/access.ts'
import type { AgentClient } from '../../../../protocol/client/agent-client.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import type { CommandActor } from '../../command.ts'

/** Images of one store that are read to find out which of them somebody sees. */
const IMAGES_READ_MAX = 100_000

/** Whether somebody sees every image of a store. */
export function seesAllImages({ role }: Pick<CommandActor, 'role'>): boolean {
  return roleIncludes(role, 'operator')
}

/** Whether somebody sees an image: people below operator see no image with grants, and none of a hidden media group without. */
export function seesImage(actor: Pick<CommandActor, 'role'>, { grants, hidden }: Pick<Image, 'grants' | 'hidden'>): boolean {
  return seesAllImages(actor) || (grants.length === 0 && !hidden)
}

/** Returns the ids of the images of a store that somebody sees, those in the recycle bin included; undefined for people who see all. */
export async function seenImageIds(actor: Pick<CommandActor, 'role'>, agent: AgentClient): Promise<ReadonlySet<string> | undefined> {
  if (seesAllImages(actor)) return undefined
  const ids = new Set<string>()
  const read = async (filter: { readonly status?: 'deleted' }): Promise<void> => {
    let count = 0
    for await (const image of agent.images.all(filter)) {
      if (seesImage(actor, image)) ids.add(image.id)
      if (++count >= IMAGES_READ_MAX) break
    }
  }
  await Promise.all([read({}), read({ status: 'deleted' })])
  return ids
}
