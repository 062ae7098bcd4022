// A second user of the machine for tests of permissions. It does not need an entry in /etc/passwd.

import { chown, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { requireThat } from '../require.ts'
import type { TestFunction } from '../require.ts'
import { folderStats } from './folder-stats.ts'

const ROOT = join(import.meta.dir, '../../..')

/** User id and group id of the second user. */
export const OTHER_UID = 64_123

/** Command that runs the agent as the user SLIPWAY_TEST_UID. */
export const agentOfOtherUser: readonly string[] = [process.execPath, '--preload', join(import.meta.dir, 'become-user-program.ts'), join(ROOT, 'agent/main.ts')]

/** Returns `test`, or a skipped test if programs cannot run as a second user. */
export function requireOtherUser(): TestFunction {
  const canSwitch =
    process.getuid?.() === 0 &&
    Bun.spawnSync([...agentOfOtherUser, '--version'], { env: { PATH: process.env['PATH'], SLIPWAY_TEST_UID: String(OTHER_UID) } }).exitCode === 0
  return requireThat(canSwitch, 'a program cannot run as a second user here: root rights, and a checkout that every user may read, are needed')
}

/** Changes the owner of a folder and everything in it. */
export async function giveTo(uid: number, folder: string): Promise<void> {
  for (const path of ['', ...(await readdir(folder, { recursive: true }))]) await chown(join(folder, path), uid, uid)
}

/** Returns the paths in a folder, including the folder itself, that are not owned by a user. */
export function foreignTo(uid: number, folder: string): string[] {
  return folderStats(folder).flatMap(({ path, stats }) => (stats.uid === uid ? [] : [path]))
}
