// A Debian 12 container with its own systemd, which is the closest to a node that a test can have. debootstrap creates its root file system once in
// a cache outside the repository; each machine runs on its own copy.

import { existsSync } from 'node:fs'
import { readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { testCacheFolder } from '../images/image-family.ts'
import { until } from '../until.ts'

/** Longest time to boot, in milliseconds. */
const BOOT_MS_MAX = 120_000

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface Machine extends AsyncDisposable {
  /** Root folder of the machine on the host. */
  readonly root: string
  /** Runs a program in the machine. */
  run(...command: readonly string[]): Promise<Ran>
  /** Like `run`, but returns standard output, and throws with all output if the program fails. */
  must(...command: readonly string[]): Promise<string>
}

/** Boots a machine with its root below `folder`. Disposing it ends all its processes. */
export async function bootMachine(folder: string): Promise<Machine> {
  const root = join(folder, 'root')
  await hostMust('cp', '-a', '--reflink=auto', await baseRoot(), root)
  const name = `slipway-test-${process.pid}`
  const nspawn = Bun.spawn(
    ['systemd-nspawn', '-D', root, '--boot', '--register=no', '--keep-unit', '--private-network', '--console=read-only', `--machine=${name}`],
    { stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' },
  )
  const init = await until('the machine has a first process', () => findInit(nspawn.pid), BOOT_MS_MAX)
  const enter = ['nsenter', '-t', String(init), '-a', '--']
  const run = (...command: readonly string[]): Promise<Ran> => hostRun(...enter, ...command)
  await until('the machine has booted', async () => /^(?:running|degraded)/.test((await run('systemctl', 'is-system-running')).stdout), BOOT_MS_MAX)
  return {
    root,
    run,
    async must(...command) {
      const ran = await run(...command)
      if (ran.code !== 0) throw new Error(`${command.join(' ')} ended with ${ran.code}:\n${ran.stdout}${ran.stderr}`)
      return ran.stdout
    },
    async [Symbol.asyncDispose]() {
      // Everything in the namespace ends with its first process.
      process.kill(init, 'SIGKILL')
      await nspawn.exited
    },
  }
}

/** Returns the folder of a minimal Debian 12 with systemd; creating it takes about half a minute. */
async function baseRoot(): Promise<string> {
  const base = join(testCacheFolder(), 'bookworm-systemd-2')
  if (existsSync(base)) return base
  const making = `${base}.${process.pid}`
  await hostMust('debootstrap', '--variant=minbase', '--include=systemd,systemd-sysv,dbus,curl,ca-certificates', 'bookworm', making)
  await rename(making, base).catch(async (error: unknown) => {
    // Another run has created it in the meantime.
    if (!existsSync(base)) throw error
    await rm(making, { recursive: true, force: true })
  })
  return base
}

/** Returns the machine's process 1: a child of nspawn, but not the first one, which only prepares the container. */
async function findInit(nspawn: number): Promise<number | undefined> {
  try {
    const children = (await readFile(`/proc/${nspawn}/task/${nspawn}/children`, 'utf8')).trim().split(' ')
    for (const pid of children) if ((await readFile(`/proc/${pid}/comm`, 'utf8')).trim() === 'systemd') return Number(pid)
  } catch {
    // The process does not exist yet, or ended between two reads.
  }
  return undefined
}

async function hostRun(...command: string[]): Promise<Ran> {
  const child = Bun.spawn(command, { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' })
  const [stdout, stderr, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited])
  return { code, stdout, stderr }
}

async function hostMust(...command: string[]): Promise<void> {
  const { code, stdout, stderr } = await hostRun(...command)
  if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}:\n${stdout}${stderr}`)
}
