// Clients in other languages: tuspy, go-tus, tus-java-client and curl. Each stops in the middle and resumes.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { sampleBytes } from '../../conformance/tus/suite.ts'
import { goTus, tusJava, tuspy } from '../../support/clients/foreign-clients.ts'
import type { ForeignClient } from '../../support/clients/foreign-clients.ts'
import { requireThat } from '../../support/require.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import type { UploadServer } from '../../support/agents/upload-server.ts'

const TOKEN = 'admin-secret'
const content = sampleBytes(12 * 1024 * 1024 + 4321)

let folder: TemporaryFolder
let server: UploadServer
let file: string
beforeAll(async () => {
  folder = await createTemporaryFolder()
  server = await startUploadServer()
  file = folder.file('image.raw')
  await Bun.write(file, content)
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

async function run(line: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  const child = Bun.spawn([...line], { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe', env: { ...process.env, ...env } })
  const [output, complaint] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  if ((await child.exited) !== 0) throw new Error(`${line[0]} ended with ${child.exitCode}: ${complaint}`)
  return output.trim()
}

const expectWhole = async (path: string): Promise<void> => {
  const location = (await server.ask('HEAD', path)).headers.get('content-location') ?? ''
  expect(location).toStartWith('/v1/images/')
  expect(Buffer.compare(server.content(location.replace('/v1/images/', '')), content)).toBe(0)
}

const CLIENTS: Readonly<Record<string, ForeignClient>> = {
  'tuspy sends with a checksum on every request': await tuspy(),
  'go-tus sends in chunks': await goTus(),
  'tus-java-client sends with POST in place of PATCH': await tusJava(),
}

describe('clients in other languages', () => {
  for (const [name, client] of Object.entries(CLIENTS)) {
    const clientTest = requireThat(client.kind === 'ready', client.kind === 'missing' ? client.reason : '')
    clientTest(
      `${name}, stops and resumes`,
      async () => {
        if (client.kind === 'missing') return
        const { line, env } = client.command(server.endpoint, TOKEN, file)
        const url = await run(line, env)
        await expectWhole(new URL(url, server.endpoint).pathname)
      },
      120_000,
    )
  }
})

describe('curl', () => {
  const HEADERS = ['-H', `Authorization: Bearer ${TOKEN}`, '-H', 'Tus-Resumable: 1.0.0']
  const create = async (): Promise<string> => {
    const head = await run(['curl', '-sS', '-D', '-', '-X', 'POST', ...HEADERS, '-H', `Upload-Length: ${content.byteLength}`, server.endpoint])
    return new URL(/^location:\s*(\S+)/im.exec(head)?.[1] ?? '', server.endpoint).href
  }
  const patch = (url: string, offset: number): string[] => {
    const headers = [...HEADERS, '-H', `Upload-Offset: ${offset}`, '-H', 'Content-Type: application/offset+octet-stream']
    return ['curl', '-sS', '--fail', '-X', 'PATCH', ...headers, '-T', offset === 0 ? file : '-', url]
  }

  test('sends a file in one PATCH', async () => {
    const url = await create()
    await run(patch(url, 0))
    await expectWhole(new URL(url).pathname)
  }, 30_000)

  test('is killed in the middle and sends the rest, in chunks of unknown length', async () => {
    const url = await create()
    const before = server.slices.writtenBytes
    const [program, ...rest] = patch(url, 0)
    const first = Bun.spawn([program ?? '', '--limit-rate', '4M', ...rest], { stdout: 'ignore', stderr: 'ignore' })
    await until('some bytes are stored', () => server.slices.writtenBytes > before)
    first.kill('SIGKILL')
    const offset = Number((await server.ask('HEAD', new URL(url).pathname)).headers.get('upload-offset'))
    expect(offset).toBeGreaterThan(0)
    expect(offset).toBeLessThan(content.byteLength)
    const second = Bun.spawn(patch(url, offset), { stdin: content.slice(offset), stdout: 'ignore', stderr: 'inherit' })
    expect(await second.exited).toBe(0)
    await expectWhole(new URL(url).pathname)
  }, 30_000)
})
