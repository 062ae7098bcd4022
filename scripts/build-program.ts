// Compiles a program with everything that it needs into one file. Bytecode saves the parsing at each start, which is more than half of the time of a short command.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { bundleAssets, EMBEDDED_SUFFIX } from '../bot/gateway/assets.ts'

const ROOT = join(import.meta.dir, '..')

/** File names of the compiled programs. */
export const AGENT_PROGRAM = 'slipway-agent'
export const BOT_PROGRAM = 'slipway'

/** Compiles into `out`. The first entry is the program; the others are its worker threads and files. Throws with what the compiler said. */
async function buildProgram(out: string, entries: readonly string[]): Promise<void> {
  const child = Bun.spawn(
    [
      process.execPath,
      'build',
      '--compile',
      '--bytecode',
      '--format=esm',
      '--minify-syntax',
      '--sourcemap=none',
      '--entry-naming=[name].[ext]',
      // Embedded files are found by their names.
      '--asset-naming=[name].[ext]',
      // ssh2 asks for it and works without it. It would need a native library that is not built.
      '--external=cpu-features',
      '--outfile',
      out,
      ...entries,
    ],
    { cwd: ROOT, stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' },
  )
  const [stdout, stderr, exitCode] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited])
  if (exitCode !== 0) throw new Error(`${stdout}${stderr}`.trim())
}

/** Compiles the agent into `slipway-agent` in a folder. Returns its path. */
export async function buildAgent(folder: string): Promise<string> {
  mkdirSync(folder, { recursive: true })
  // Worker threads are entry points of their own in a compiled program.
  const workers = [...new Bun.Glob('agent/**/*-worker.ts').scanSync(ROOT)].toSorted()
  const out = join(folder, AGENT_PROGRAM)
  await buildProgram(out, ['agent/main.ts', ...workers])
  return out
}

/** Compiles the console with the bot into `slipway` in a folder, with what browsers load from upload pages. Returns its path. */
export async function buildBot(folder: string): Promise<string> {
  mkdirSync(folder, { recursive: true })
  const entries = ['bot/main.ts']
  for (const [name, bytes] of await bundleAssets()) {
    const path = join(folder, `${name}${EMBEDDED_SUFFIX}`)
    await Bun.write(path, bytes)
    entries.push(path)
  }
  const out = join(folder, BOT_PROGRAM)
  await buildProgram(out, entries)
  return out
}
