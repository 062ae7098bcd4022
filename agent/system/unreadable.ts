// Explains why the agent cannot read a file, such as its configuration or its key, and names the command that fixes it.

import { accessFault } from './path-access.ts'
import { quoteForShell } from './shell-word.ts'
import { currentUser, describeUser } from './users.ts'

/** Returns why a file that is only read cannot be read, as the end of a sentence; undefined when its permissions are not the reason. */
export function unreadableReason(path: string): string | undefined {
  const fault = accessFault(path, 'read')
  if (!fault) return undefined
  const user = currentUser()
  if (fault.path !== path) return `the agent runs as ${describeUser(user.uid)} and may not enter ${fault.path}. Let that user enter it`
  const group = quoteForShell(path)
  return `it belongs to ${describeUser(fault.owner.uid)}, and the agent runs as ${describeUser(user.uid)}, which may not read it. As root, run: chgrp ${user.gid} ${group} && chmod g+r ${group}`
}
