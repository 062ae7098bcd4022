// Root on a store that belongs to another user. Every file that root would create there is one that the service cannot read at its next
// start, so root never opens such a store.

import { join } from 'node:path'
import type { Config } from '../config.ts'
import { ownerOf } from '../system/path-access.ts'
import { quoteForShell } from '../system/shell-word.ts'
import { becomeUser, currentUser, describeUser, userName } from '../system/users.ts'
import type { User } from '../system/users.ts'
import { StartRefused } from './start-refused.ts'
import { STORE_FILE } from './parts/store-file.ts'

/** Takes on the rights of the store's owner when root runs a command on it, and says so. To be called before anything is opened. */
export function becomeOwner(config: Config): void {
  const owner = foreignOwner(config)
  if (!owner) return
  becomeUser(owner)
  process.stderr.write(`Running as ${describeUser(owner.uid)}, the owner of ${config.store.mount}.\n`)
}

/** Throws StartRefused when root serves a store of another user: certificates and ports are read by rights that the service does not have. */
export function refuseRootServe(config: Config): void {
  const owner = foreignOwner(config)
  if (!owner) return
  const name = userName(owner.uid)
  const user = name === undefined ? `setpriv --reuid ${owner.uid} --regid ${owner.gid} --clear-groups` : `runuser -u ${name} --`
  const line = `${user} slipway-agent ${process.argv.slice(2).map(quoteForShell).join(' ')}`
  throw new StartRefused(
    `The store on ${config.store.mount} belongs to ${describeUser(owner.uid)}, and root does not serve it, because that user could not read the files that root creates. Start its systemd service, or run: ${line}`,
  )
}

/** Owner of the store when this process is root and the owner is not; undefined for a store of root, and for a mount path that is still empty. */
function foreignOwner({ store }: Config): User | undefined {
  if (currentUser().uid !== 0) return undefined
  return [join(store.mount, STORE_FILE), store.mount, store.state].map(ownerOf).find((owner) => owner !== undefined && owner.uid !== 0)
}
