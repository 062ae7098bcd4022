// tusd, the reference server of tus in Go, as a peer: built from its module if Go is installed, and kept in the test cache.

import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { testCacheFolder } from '../images/image-family.ts'

export const TUSD_VERSION = '2.10.0'

/** The oldest version of Go that can build tusd. */
const GO_VERSION = '1.25.8'
/** Most characters of its log that are searched for its address. */
const LOG_LENGTH_MAX = 64 * 1024

export interface Tusd extends AsyncDisposable {
  /** URL at which uploads are created. */
  readonly url: string
  /** Folder in which it stores them. */
  readonly folder: string
  readonly pid: number
}

/** Returns the path of the program; undefined, after reporting the reason, when it cannot be built. */
export async function buildTusd(say: (line: string) => void): Promise<string | undefined> {
  const folder = join(testCacheFolder(), `tusd-${TUSD_VERSION}`)
  const program = join(folder, 'tusd')
  if (existsSync(program)) return program
  const go = Bun.which('go')
  if (go === null) {
    say(`tusd is skipped: Go ${GO_VERSION} or later is not installed`)
    return undefined
  }
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'go.mod'), `module peer\n\ngo ${GO_VERSION}\n\nrequire github.com/tus/tusd/v2 v${TUSD_VERSION}\n`)
  writeFileSync(join(folder, 'tools.go'), '//go:build tools\n\npackage peer\n\nimport _ "github.com/tus/tusd/v2/cmd/tusd"\n')
  const child = Bun.spawn([go, 'build', '-mod=mod', '-o', `${program}.part`, 'github.com/tus/tusd/v2/cmd/tusd'], {
    cwd: folder,
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'pipe',
  })
  const complaint = await new Response(child.stderr).text()
  if ((await child.exited) !== 0) {
    say(`tusd is skipped, because it cannot be built: ${complaint.trim().split('\n').at(-1)}`)
    return undefined
  }
  renameSync(`${program}.part`, program)
  return program
}

/** Starts tusd with its file store in a folder of its own below `parent`, with its defaults, the draft protocol enabled, and further arguments. */
export async function startTusd(program: string, parent: string, more: readonly string[] = []): Promise<Tusd> {
  const folder = await mkdtemp(join(parent, 'tusd-'))
  const child = Bun.spawn([program, '-host', '127.0.0.1', '-port', '0', '-upload-dir', folder, '-enable-experimental-protocol', ...more], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'ignore',
  })
  const told = Promise.withResolvers<string>()
  // Its later log is read and discarded, so that its writes do not block.
  const reading = (async () => {
    let output = ''
    for await (const piece of child.stdout.pipeThrough(new TextDecoderStream())) {
      if (output.length < LOG_LENGTH_MAX) output += piece
      const url = /You can now upload files to: (http\S+)/.exec(output)?.[1]
      if (url !== undefined) told.resolve(url)
    }
    told.reject(new Error(`tusd ended with ${await child.exited}: ${output}`))
  })()
  const url = await told.promise
  return {
    url,
    folder,
    pid: child.pid,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await child.exited
      await reading
      await rm(folder, { recursive: true, force: true })
    },
  }
}
