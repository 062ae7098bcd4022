// A small real image for tests that run often: an ext4 file system with files of this machine, a second version updated in place, and qcow2
// conversions. Creating it takes about two seconds and does not need root.

import { copyFileSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { hasTool, requireTool } from '../require.ts'
import type { TestFunction } from '../require.ts'

const MIB = 1024 * 1024
/** Virtual size, bytes of files in the first version, and bytes of files added by the update. */
export const SMALL_IMAGE_BYTES = 192 * MIB
const FILES_BYTES = 60 * MIB
const UPDATE_BYTES = 6 * MIB
/** Maximum length of a file, so that the image contains many files. */
const FILE_BYTES_MAX = 4 * MIB

const TOOLS: readonly (readonly [string, string])[] = [
  ['mke2fs', 'e2fsprogs'],
  ['debugfs', 'e2fsprogs'],
  ['qemu-img', 'qemu-utils'],
  ['curl', 'curl'],
  ['node', 'nodejs'],
]

/** Returns whether the programs for creating, sending and comparing images are installed. Prints missing ones. */
export function hasImageTools(): boolean {
  return TOOLS.every(([tool, debianPackage]) => hasTool(tool, debianPackage))
}

/** Returns `test`, or a skipped test if one of these programs is missing. */
export function requireImageTools(): TestFunction {
  const [tool, debianPackage] = TOOLS.find(([name, from]) => !hasTool(name, from)) ?? ['curl', 'curl']
  return requireTool(tool, debianPackage)
}

/** Paths of one version of the image. */
export interface SmallImage {
  readonly raw: string
  readonly qcow2: string
}

/**
 * Creates the first version in a folder.
 *
 * @example
 * const first = await makeSmallImage(folder.file('images'))
 * const second = await updateInPlace(first, folder.file('images'))
 */
export async function makeSmallImage(folder: string): Promise<SmallImage> {
  const root = join(folder, 'root')
  mkdirSync(join(root, 'opt'), { recursive: true })
  for (const [name, path] of pickFiles(0, FILES_BYTES)) copyFileSync(path, join(root, name))
  const raw = join(folder, 'first.raw')
  await run('truncate', '-s', String(SMALL_IMAGE_BYTES), raw)
  await run('mke2fs', '-q', '-t', 'ext4', '-d', root, raw)
  return { raw, qcow2: await convert(raw) }
}

/** Creates the second version: removes files and writes others in the same file system, as an upgrade would. */
export async function updateInPlace(first: SmallImage, folder: string): Promise<SmallImage> {
  const raw = join(folder, 'second.raw')
  copyFileSync(first.raw, raw)
  const old = pickFiles(0, UPDATE_BYTES)
  const fresh = pickFiles(FILES_BYTES, UPDATE_BYTES)
  const commands = [...old.map(([name]) => `rm /${name}`), ...fresh.map(([name, path]) => `write ${path} /opt/${name}`)]
  const script = join(folder, 'update.debugfs')
  writeFileSync(script, `${commands.join('\n')}\n`)
  await run('debugfs', '-w', '-f', script, raw)
  return { raw, qcow2: await convert(raw) }
}

/** Runs a program and returns its standard output. Throws with its output if it fails. */
export async function run(...command: readonly string[]): Promise<string> {
  const child = Bun.spawn([...command], { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe', env: { ...process.env, PATH: TOOL_PATH } })
  const [stdout, stderr, exitCode] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited])
  if (exitCode !== 0) throw new Error(`${command.join(' ')} exited with ${exitCode}:\n${stdout}${stderr}`)
  return stdout
}

/** Returns the SHA-256 of a file from `sha256sum`, as a digest. */
export async function digestOfFile(path: string): Promise<string> {
  return `sha256:${(await run('sha256sum', path)).slice(0, 64)}`
}

const TOOL_PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`

async function convert(raw: string): Promise<string> {
  const qcow2 = raw.replace(/\.raw$/, '.qcow2')
  await run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', raw, qcow2)
  return qcow2
}

/** Returns files of this machine as `[name, path]` in a fixed order: enough to fill `bytes` after the first `skippedBytes`. */
function pickFiles(skippedBytes: number, bytes: number): [string, string][] {
  const picked: [string, string][] = []
  let at = 0
  for (const path of machineFiles()) {
    const { size } = statSync(path)
    if (at >= skippedBytes + bytes) return picked
    if (at >= skippedBytes) picked.push([path.slice(1).replaceAll('/', '-'), path])
    at += size
  }
  throw new Error(`this machine has only ${at} bytes of programs and libraries; ${skippedBytes + bytes} are required`)
}

let known: readonly string[] | undefined

function machineFiles(): readonly string[] {
  known ??= ['/usr/bin', ...readdirSync('/usr/lib').flatMap((name) => (name.endsWith('-linux-gnu') ? [`/usr/lib/${name}`] : []))]
    .flatMap((folder) => readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isFile() ? [join(folder, entry.name)] : [])))
    .filter((path) => {
      const { size } = statSync(path)
      return size > 0 && size <= FILE_BYTES_MAX
    })
    .toSorted()
  return known
}
