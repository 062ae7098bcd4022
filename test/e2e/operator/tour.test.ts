// Runs the five-minute tour of the README line by line, on ports and folders of the test.

import { describe, expect, setDefaultTimeout } from 'bun:test'
import { cpSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { hasTool, requireTool } from '../../support/require.ts'
import { freePort } from '../../support/machine/free-port.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

// The tour starts several processes, which take longer than the runner's default of 5 s on a busy machine.
setDefaultTimeout(120_000)

const ROOT = join(import.meta.dir, '../../..')
const tourTest = hasTool('curl', 'curl') ? requireTool('mke2fs', 'e2fsprogs') : requireTool('curl', 'curl')

interface Block {
  readonly kind: 'sh' | 'slipway'
  readonly text: string
}

async function tourBlocks(): Promise<Block[]> {
  const tour = (await Bun.file(join(ROOT, 'README.md')).text()).split('## Five minutes')[1]?.split('\n## ')[0] ?? ''
  return [...tour.matchAll(/^```(sh|slipway)\n(.*?)^```/gms)].map(([, kind, text = '']) => ({ kind: kind as Block['kind'], text }))
}

describe('the tour', () => {
  tourTest('works as written, frees space and leaves no files behind', async () => {
    await using folder = await createTemporaryFolder()
    await using home = await createTemporaryFolder()
    cpSync(join(ROOT, 'docs'), folder.file('docs'), { recursive: true })
    const blocks = await tourBlocks()
    const ports = { '8420': String(await freePort()), '8430': String(await freePort()) }
    const localized = (text: string): string =>
      text
        .replaceAll(/8420|8430/g, (port) => ports[port as keyof typeof ports])
        .replaceAll('npx -y bun@1.4.5 run start', `exec ${process.execPath} ${ROOT}/scripts/start.ts`)
        .replaceAll('npx -y bun@1.4.5 agent/', `exec ${process.execPath} ${ROOT}/agent/`)
        .replaceAll(/(.*=\S+ \\\n)(.*=\S+) exec /g, 'export $1$2; exec ')

    const environment = {
      PATH: `${process.env['PATH']}:/sbin`,
      HOME: home.path,
      SLIPWAY_NETWORK_LISTEN: `127.0.0.1:${ports['8420']}`,
      SLIPWAY_STORE_RESERVED: '0 B',
    }
    const shell = (text: string) =>
      Bun.spawn(['sh', '-euc', localized(text)], { cwd: folder.path, stdin: 'pipe', stdout: 'pipe', stderr: 'pipe', env: environment })
    await using stack = new AsyncDisposableStack()
    let said = ''
    let console: ReturnType<typeof shell> | undefined
    let second: ReturnType<typeof shell> | undefined
    const answers = new Map<string, string>()
    const stopStores = async (): Promise<void> => {
      await console?.stdin.end()
      expect(await console?.exited).toBe(0)
      second?.kill('SIGINT')
      await second?.exited
    }
    for (const { kind, text } of blocks) {
      if (text.includes('run start') || text.includes('main.ts serve')) {
        const child = shell(text)
        const isFirst = text.includes('run start')
        const port = isFirst ? ports['8420'] : ports['8430']
        const reading = (async () => {
          for await (const piece of child.stdout.pipeThrough(new TextDecoderStream())) said += piece
        })()
        stack.defer(async () => {
          child.kill('SIGTERM')
          await child.exited
          await reading
        })
        if (isFirst) console = child
        else second = child
        await until(`an agent serves on ${port}`, async () => (await fetch(`http://127.0.0.1:${port}/v1/health`).catch(() => undefined))?.ok)
      } else if (kind === 'sh') {
        if (text.startsWith('rm ')) await stopStores()
        const child = shell(text)
        const [stdout, stderr, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited])
        expect({ text, code, stderr }).toEqual({ text, code: 0, stderr: '' })
        if (text.includes('cmp')) expect(stdout).toBe('the same\n')
      } else {
        for (const line of text.trim().split('\n')) {
          const before = said.length
          await console?.stdin.write(`${localized(line)}\n`)
          await console?.stdin.flush()
          // Every response of the console ends with its age.
          await until(`an answer to ${line}, after ${said.slice(-2000)}`, () => /^as of .*$/m.test(said.slice(before)))
          answers.set(line, said.slice(before))
          expect({ line, answer: said.slice(before) }).toEqual({ line, answer: expect.not.stringContaining('✖') })
        }
      }
    }
    expect(blocks.length).toBeGreaterThan(8)
    expect(answers.get('store cleanup local')).toMatch(/Freed bytes +[1-9][\d.]* [kM]B/)
    expect((await readdir(folder.path)).toSorted()).toEqual(['docs'])
  })
})
