// Files that the agent may not use: a start is refused with the path, its owner, and the line that mends it. Checked before anything is
// written, so that a store that came from another node is left as it was.

import { join } from 'node:path'
import type { Config } from '../config.ts'
import { accessFault, faultOf } from '../system/path-access.ts'
import type { AccessFault } from '../system/path-access.ts'
import { quoteForShell } from '../system/shell-word.ts'
import { currentUser, describeUser, userName } from '../system/users.ts'
import { StartRefused } from './start-refused.ts'

/** How deep causes of an error are followed. */
const CAUSES_MAX = 5

/** Returns the sentence on a path of the store or the state folder, `root`, that this process may not use. */
function accessSentence({ path, code, owner, mode }: AccessFault, root: string): string {
  if (code === 'EROFS') return `${path} is on a file system that is mounted read-only. Mount it read-write, then start again.`
  const user = currentUser()
  if (path !== root && !path.startsWith(`${root}/`))
    return `${root} cannot be reached, because the agent runs as ${describeUser(user.uid)} and may not enter ${path}. Let that user enter it, or correct the configuration.`
  if (owner.uid === user.uid)
    return `${path} has mode ${mode.toString(8)}, which keeps its owner from using it. As root, run: chmod -R u+rwX ${quoteForShell(root)}`
  return `${path} belongs to ${describeUser(owner.uid)}, and the agent runs as ${describeUser(user.uid)}, which may not use it. As root, run: chown -R ${chownTarget()} ${quoteForShell(root)}`
}

/** Throws StartRefused when a path below `root` may not be used; those that do not exist yet pass. */
export function requireAccess(root: string, names: readonly string[], need: 'read' | 'write' = 'write'): void {
  for (const name of names) {
    const fault = accessFault(join(root, name), need)
    if (fault) throw new StartRefused(accessSentence(fault, root))
  }
}

/** Waits for a part of the store to open; an error about rights becomes StartRefused, any other one is thrown as it is. */
export async function orRefuse<T>(config: Config, opening: Promise<T>): Promise<T> {
  try {
    return await opening
  } catch (error) {
    const { mount, state } = config.store
    for (let at: unknown = error, depth = 0; at instanceof Error && depth < CAUSES_MAX; at = at.cause, depth++) {
      const path = 'path' in at && typeof at.path === 'string' ? at.path : undefined
      const fault = path === undefined ? undefined : faultOf(path, at)
      const root = [mount, state].find((folder) => path === folder || path?.startsWith(`${folder}/`))
      if (fault && root !== undefined) throw new StartRefused(accessSentence(fault, root), { cause: error })
    }
    throw error
  }
}

/** What chown is given. A user without a name has no login group that `chown USER:` could look up. */
function chownTarget(): string {
  const { uid, gid } = currentUser()
  const name = userName(uid)
  return name === undefined ? `${uid}:${gid}` : `${name}:`
}
