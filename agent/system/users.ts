// Users of this machine: the user of this process, the name of a user, and how root becomes another user.

import { readFileSync } from 'node:fs'

/** A user, as the owner of a file is stored. */
export interface User {
  readonly uid: number
  readonly gid: number
}

/** The id that the kernel shows for users outside of the user namespace of this process (PrivateUsers= of a unit). */
const OVERFLOW_UID = 65_534

/** Returns the user this process runs as. */
export function currentUser(): User {
  return { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 }
}

/** Gives up the rights of root permanently, for all threads of this process (setuid(2)). Throws when the kernel refuses. */
export function becomeUser({ uid, gid }: User): void {
  // In this order: after setuid the groups cannot be changed.
  process.setgroups?.([])
  process.setgid?.(gid)
  process.setuid?.(uid)
  if (process.getuid?.() !== uid || process.geteuid?.() !== uid || process.getegid?.() !== gid) throw new Error(`the process could not become uid ${uid}`)
}

/** Returns the name of a user in /etc/passwd; undefined for a user who is not listed there, such as one of LDAP. */
export function userName(uid: number): string | undefined {
  try {
    const line = readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((entry) => entry.split(':')[2] === String(uid))
    return line?.split(':')[0]
  } catch {
    // A container may have no /etc/passwd; the number is used instead.
    return undefined
  }
}

/** Returns the name of a user for a sentence: `root`, `slipway (uid 997)`, `uid 1234`. */
export function describeUser(uid: number): string {
  if (uid === 0) return 'root'
  if (uid === OVERFLOW_UID) return 'another user'
  const name = userName(uid)
  return name === undefined ? `uid ${uid}` : `${name} (uid ${uid})`
}
