// `bun run build`: compiles the agent, and the console with the bot, into two self-contained programs, dist/slipway-agent and
// dist/slipway. Bytecode saves the parsing at each start, which is more than half of the time of a short command.

import { mkdirSync, statSync } from 'node:fs'
import { bundleAssets, EMBEDDED_SUFFIX } from '../bot/gateway/assets.ts'
import { formatSize } from '../protocol/units.ts'

/** Worker threads are entry points of their own in a compiled program. */
const workers = [...new Bun.Glob('agent/**/*-worker.ts').scanSync('.')].toSorted()

mkdirSync('dist', { recursive: true })
/** What browsers load from upload pages; the program carries it as files. */
const assets: string[] = []
for (const [name, bytes] of await bundleAssets()) {
  const path = `dist/${name}${EMBEDDED_SUFFIX}`
  await Bun.write(path, bytes)
  assets.push(path)
}

const programs = [
  { out: 'dist/slipway-agent', entries: ['agent/main.ts', ...workers] },
  { out: 'dist/slipway', entries: ['bot/main.ts', ...assets] },
]

for (const { out, entries } of programs) {
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
      // ssh2 asks for it and works without it. It would need a native library that is not built.
      '--external=cpu-features',
      '--outfile',
      out,
      ...entries,
    ],
    {
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
    },
  )
  const [stdout, stderr, exitCode] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited])
  if (exitCode !== 0) {
    console.error(`${stdout}${stderr}`.trim())
    process.exit(1)
  }
  console.log(`${out} (${formatSize(statSync(out).size)})`)
}
