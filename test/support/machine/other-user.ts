// A second user of the machine for tests of rights. The number needs no entry in /etc/passwd.

import { chown, lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { requireThat } from '../require.ts'
import type { TestFunction } from '../require.ts'

const ROOT = join(import.meta.dir, '../../..')

/** The user id of the second user, and its group id. */
export const OTHER_UID = 64_123

/** A command that runs the agent's program as the second user; SLIPWAY_TEST_UID in the environment names another. */
export const agentOfOtherUser: readonly string[] = [process.execPath, '--preload', join(import.meta.dir, 'become-user-program.ts'), join(ROOT, 'agent/main.ts')]

/** `test`, or a test that is skipped where no program can run as a second user. */
export function requireOtherUser(): TestFunction {
  const canSwitch =
    process.getuid?.() === 0 &&
    Bun.spawnSync([...agentOfOtherUser, '--version'], { env: { PATH: process.env['PATH'], SLIPWAY_TEST_UID: String(OTHER_UID) } }).exitCode === 0
  return requireThat(canSwitch, 'a program cannot run as a second user here: root rights, and a checkout that every user may read, are needed')
}

/** Gives a folder with everything in it to a user. */
export async function giveTo(uid: number, folder: string): Promise<void> {
  for (const path of ['', ...(await readdir(folder, { recursive: true }))]) await chown(join(folder, path), uid, uid)
}

/** Paths below a folder, and the folder itself, that do not belong to a user. */
export async function foreignTo(uid: number, folder: string): Promise<string[]> {
  const paths = ['', ...(await readdir(folder, { recursive: true }))]
  const owned = await Promise.all(paths.map(async (path) => ({ path, uid: (await lstat(join(folder, path))).uid })))
  return owned.filter((entry) => entry.uid !== uid).map(({ path }) => path)
}
