// What the evidence says of the machine: versions, the file systems of the store, and names and lengths of the agent's files. Never their contents.

import { readFile, statfs } from 'node:fs/promises'
import { arch, availableParallelism, loadavg, release, totalmem, uptime, version as kernelVersion } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { errorCode } from '../../protocol/errors.ts'
import type { Disk } from '../contract/disk.ts'

/** Most files of one folder that are listed. */
const FILES_MAX = 500
/** Depth of folders below a listed one. */
const DEPTH_MAX = 2
/** Options of a mount that are shown; the value of another one may be a password. */
const MOUNT_OPTIONS =
  /^(?:r[ow]|(?:no|rel|strict|lazy)?[ad]*time|no(?:suid|dev|exec|lock|ac|cto|resvport|barrier|discard)|sync|async|hard|soft|intr|lock|discard|errors|data|barrier|vers|proto|rsize|wsize|timeo|retrans|acregmin|acregmax|acdirmin|acdirmax|namlen|sec|local_lock|port|mountport|mountvers|mountproto|fsc|nconnect|attr2|inode64|logbufs|logbsize|noquota|space_cache|ssd|subvol|subvolid|compress)$/

/** Versions of the agent, of what it runs on, and the load of the machine. */
export function machineFacts(version: string, startMs: number, nowMs: number): Record<string, unknown> {
  return {
    agent: version,
    bun: Bun.version,
    bunRevision: Bun.revision,
    sqlite: process.versions['sqlite'] ?? null,
    kernel: `${release()} ${kernelVersion()}`,
    arch: arch(),
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
    residentBytes: process.memoryUsage.rss(),
    loadAverage: loadavg(),
    machineUptimeSeconds: Math.floor(uptime()),
    agentUptimeSeconds: Math.floor((nowMs - startMs) / 1000),
  }
}

const mountSchema = z.object({ mountPoint: z.string(), type: z.string(), source: z.string(), options: z.array(z.string()) })
type MountEntry = z.infer<typeof mountSchema>

/** Space and mount of the file system that holds a path; `error` when it cannot be asked. */
export async function fileSystemFacts(path: string): Promise<Record<string, unknown>> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '')
  const mount = mountOf(path, mounts)
  try {
    const { type, bsize, blocks, bavail, files, ffree } = await statfs(path)
    return { path, mount, typeNumber: `0x${type.toString(16)}`, totalBytes: blocks * bsize, freeBytes: bavail * bsize, files, freeFiles: ffree }
  } catch (error) {
    return { path, mount, error: errorCode(error) ?? 'unknown' }
  }
}

/** Returns the mount that holds a path, from the text of /proc/self/mountinfo (proc(5)); null when there is none. */
export function mountOf(path: string, mountinfo: string): MountEntry | null {
  let best: MountEntry | null = null
  for (const line of mountinfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ')
    const fields = before.split(' ')
    const mountPoint = (fields[4] ?? '').replaceAll(/\\([0-7]{3})/g, (_all, octal: string) => String.fromCodePoint(Number.parseInt(octal, 8)))
    const [type = '', source = '', superOptions = ''] = after.split(' ')
    const isAbove = mountPoint !== '' && (mountPoint === '/' || path === mountPoint || path.startsWith(`${mountPoint}/`))
    if (!isAbove || (best && best.mountPoint.length > mountPoint.length)) continue
    const options = [...new Set([...(fields[5] ?? '').split(','), ...superOptions.split(',')])].filter((option) => option !== '')
    best = { mountPoint, type, source: source.replace(/^(\/\/)[^/@]*@/, '$1***@'), options: options.map(shownOption) }
  }
  return best
}

function shownOption(option: string): string {
  const name = option.split('=')[0] ?? ''
  return MOUNT_OPTIONS.test(name) || option === name ? option : `${name}=***`
}

/** Lists files below a folder with their lengths: at most FILES_MAX, those of `isWanted` only. */
export async function folderFacts(disk: Disk, folder: string, isWanted: (name: string) => boolean = () => true): Promise<Record<string, unknown>> {
  const files: { name: string; length: number; modified: string }[] = []
  let left = 0
  const walk = async (below: string, depth: number): Promise<void> => {
    const names = (await disk.list(join(folder, below))).filter((name) => depth > 0 || isWanted(name)).toSorted()
    for (const name of names) {
      const path = join(below, name)
      if (files.length >= FILES_MAX) {
        left++
        continue
      }
      const stat = await disk.stat(join(folder, path))
      if (!stat) continue
      if (stat.kind === 'folder' && depth < DEPTH_MAX) await walk(path, depth + 1)
      else files.push({ name: path, length: stat.length, modified: new Date(stat.modifiedMs).toISOString() })
    }
  }
  await walk('', 0)
  return { folder, files, notListed: left }
}
