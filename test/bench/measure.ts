// Measures one process at a time, from its start until everything it wrote is on the disk.

import { lstatSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'

/** Bytes per unit of `blocks` in a stat. */
const BLOCK_BYTES = 512
const IDLE_LOOK_MS = 500

/** A program with its arguments and additional environment variables. */
export interface Command {
  readonly line: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** The figures of one run. Seconds count from the start of the process until `sync -f` of its folder has returned. */
export interface Run {
  readonly seconds: number
  readonly cpuSeconds: number
  readonly residentBytesMax: number
  readonly output: string
}

/** A program exited with an error; the end of its output is in the message. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed'
}

/**
 * Runs a command and makes its folder durable, both timed. Standard output is kept when `keepOutput` is set; otherwise it
 * goes to /dev/null, which costs the program least. Throws CommandFailed.
 */
export async function timed(command: Command, folder: string, options: { keepOutput: boolean } = { keepOutput: true }): Promise<Run> {
  const startedMs = performance.now()
  const process_ = Bun.spawn([...command.line], {
    env: { ...process.env, ...command.env },
    stdin: 'ignore',
    stdout: options.keepOutput ? 'pipe' : Bun.file('/dev/null'),
    stderr: 'pipe',
  })
  const output = process_.stdout instanceof ReadableStream ? new Response(process_.stdout).text() : Promise.resolve('')
  const [text, complaint, code] = await Promise.all([output, new Response(process_.stderr).text(), process_.exited])
  if (code !== 0) throw new CommandFailed(`${command.line.join(' ')} ended with ${code}: ${complaint.slice(-600)}`)
  await Bun.spawn(['sync', '-f', folder]).exited
  const usage = process_.resourceUsage()
  return {
    seconds: (performance.now() - startedMs) / 1000,
    cpuSeconds: Number(usage?.cpuTime.total ?? 0n) / 1e6,
    residentBytesMax: usage?.maxRSS ?? 0,
    output: text,
  }
}

/** Runs a command that is not timed. Throws CommandFailed. */
export async function run(command: Command): Promise<string> {
  return (await timed(command, '/')).output
}

/** Reads a file once, so that its bytes are in memory for all contestants, and waits for earlier writes. */
export async function warm(path: string): Promise<void> {
  const file = await open(path)
  try {
    const piece = Buffer.alloc(4 * 1024 * 1024)
    for (let at = 0; ;) {
      const { bytesRead } = await file.read(piece, 0, piece.length, at)
      if (bytesRead === 0) break
      at += bytesRead
    }
  } finally {
    await file.close()
  }
  await Bun.spawn(['sync']).exited
}

/** Drops the page cache; returns false when that is not permitted. */
export async function dropCaches(): Promise<boolean> {
  await Bun.spawn(['sync']).exited
  try {
    await Bun.write('/proc/sys/vm/drop_caches', '3')
    return true
  } catch {
    return false
  }
}

/** Returns the user and system time of a process with all its threads, in seconds. */
export function cpuSecondsOf(pid: number): number {
  // In ticks of 10 ms: fields 14 and 15, counted after the name in brackets (proc(5)).
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** Waits until a process is nearly idle, so that its work after one case does not count in the next. */
export async function idle(pid: number): Promise<void> {
  for (let before = cpuSecondsOf(pid); ;) {
    await Bun.sleep(IDLE_LOOK_MS)
    const now = cpuSecondsOf(pid)
    if ((now - before) * 1000 < IDLE_LOOK_MS / 20) return
    before = now
  }
}

/** Returns the total length of the files in a folder, and the disk blocks of its files and folders. */
export function folderUsage(folder: string): { fileBytes: number; diskBytes: number } {
  let fileBytes = 0
  let diskBytes = lstatSync(folder).blocks * BLOCK_BYTES
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const stat = lstatSync(join(entry.parentPath, entry.name))
    if (stat.isFile()) fileBytes += stat.size
    diskBytes += stat.blocks * BLOCK_BYTES
  }
  return { fileBytes, diskBytes }
}

export function removeFolder(path: string): void {
  rmSync(path, { recursive: true, force: true })
}

/** Returns a number in the JSON line that our store program printed. */
export function numberOf(output: string, member: string): number {
  const answer: unknown = JSON.parse(output)
  const value: unknown = typeof answer === 'object' && answer !== null ? Object.entries(answer).find(([name]) => name === member)?.[1] : undefined
  if (typeof value !== 'number') throw new Error(`the store program printed no ${member}: ${output}`)
  return value
}

/** Describes the load average of the last minute: on an idle machine about the load of the bench itself. */
export function describeLoad(): string {
  return `load average ${readFileSync('/proc/loadavg', 'utf8').split(' ')[0]}`
}

/** Describes the machine in one line: processor, cores, memory, kernel. */
export function describeMachine(): string {
  const read = (path: string): string => readFileSync(path, 'utf8')
  const model = /model name\s*:\s*(.+)/.exec(read('/proc/cpuinfo'))?.[1] ?? 'unknown processor'
  const memory = Number(/MemTotal:\s*(\d+)/.exec(read('/proc/meminfo'))?.[1] ?? 0) / 1024 / 1024
  const kernel = read('/proc/sys/kernel/osrelease').trim()
  return `${model}, ${navigator.hardwareConcurrency} cores, ${memory.toFixed(0)} GiB, Linux ${kernel}, Bun ${Bun.version}`
}
