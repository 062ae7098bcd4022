// What the bench `sync` compares: programs that copy versions of an image from a server to a target, which keeps the versions that it has.

import { join } from 'node:path'
import type { Command } from '../measure.ts'
import { CommandFailed } from '../measure.ts'
import { treeCpuSeconds, treeResidentBytesMax } from './process-tree.ts'

export type Version = 'v1' | 'v2a' | 'v2b'

/** The versions in the order in which a target gets them. */
export const VERSIONS: readonly Version[] = ['v1', 'v2a', 'v2b']

/** The cost of one pull at the target. `seconds` ends when `sync -f` of its folder has returned. */
export interface Pulled {
  readonly seconds: number
  readonly cpuSeconds: number
  readonly residentBytesMax: number
}

/** An empty target, which gets the versions in turn. */
export interface Target extends AsyncDisposable {
  /** Copies a version from a port of loopback. Throws TooSlow after the time limit. */
  pull(version: Version, port: number, limitMs: number): Promise<Pulled>
  /** Compares the copy with the original. Throws CommandFailed if they differ. */
  verify(version: Version): Promise<void>
}

/** A server that has all versions, and how targets copy from it. */
export interface Puller extends AsyncDisposable {
  readonly name: string
  readonly port: number
  /** Process of the server. */
  readonly pid: number
  createTarget(folder: string): Promise<Target>
}

/** A pull was stopped because it took too long. */
export class TooSlow extends Error {
  override readonly name = 'TooSlow'
}

const LOOK_MS = 20

/** Runs a command and makes the folder durable, as `timed` does, and watches the memory of its process tree. Throws CommandFailed or TooSlow. */
export async function watched(command: Command, folder: string, limitMs: number): Promise<Pulled> {
  const startedMs = performance.now()
  const child = Bun.spawn([...command.line], { env: { ...process.env, ...command.env }, stdin: 'ignore', stdout: 'ignore', stderr: 'pipe' })
  const complaint = new Response(child.stderr).text()
  let resident = 0
  let cpuBefore = 0
  let isLate = false
  const look = (): void => {
    resident = Math.max(resident, treeResidentBytesMax(child.pid))
    cpuBefore = treeCpuSeconds(child.pid)
    isLate = performance.now() - startedMs > limitMs
    if (isLate) child.kill('SIGKILL')
  }
  const looking = setInterval(look, LOOK_MS)
  const code = await child.exited
  clearInterval(looking)
  if (isLate) throw new TooSlow(`${command.line[0]} took longer than ${limitMs / 1000} s`)
  if (code !== 0) throw new CommandFailed(`${command.line.join(' ')} ended with ${code}: ${(await complaint).slice(-600)}`)
  await Bun.spawn(['sync', '-f', folder]).exited
  const seconds = (performance.now() - startedMs) / 1000
  return { seconds, cpuSeconds: Math.max(cpuBefore, Number(child.resourceUsage()?.cpuTime.total ?? 0n) / 1e6), residentBytesMax: resident }
}

/** Returns the files that a target of a program has, in the order in which it got them. */
export function filesOf(folder: string, versions: readonly Version[]): string[] {
  return versions.map((version) => join(folder, `${version}.raw`))
}
