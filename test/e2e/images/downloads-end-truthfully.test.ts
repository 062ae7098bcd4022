// Downloads by independent clients and proxies: a part of an image is never reported as complete when the agent is killed, and clients
// that know the length use it.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { statSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { encodeEndFrame, encodeReferenceFrame } from '../../../protocol/slices/frames.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { makeNoiseFile } from '../../support/images/noise-file.ts'
import { requireTool } from '../../support/require.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { RawConnection } from '../../support/agents/test-server.ts'
import { until } from '../../support/until.ts'

const MIB = 1024 * 1024
/** More than nginx keeps in its temporary file (1 GiB), so that it cannot have received everything before the agent dies. */
const ZEROS_LENGTH = 3072 * MIB
const NOISE_LENGTH = 48 * MIB
/** Bytes that a client has received when the agent is killed. */
const KILLED_AT = 16 * MIB

let folder: TemporaryFolder
let agent: AgentProcess
const headers = { Authorization: `Bearer ${TEST_ADMIN_TOKEN}`, 'Tus-Resumable': '1.0.0' }

beforeAll(async () => {
  folder = await createTemporaryFolder()
  agent = await startAgent(folder.path)
  // Runs of zeros cost nothing to send or to store, so the image can be as long as the test needs.
  const run = encodeReferenceFrame(null, ZEROS_LENGTH)
  await upload('zeros', ZEROS_LENGTH, 'application/vnd.slipway.slices', Buffer.concat([run, encodeEndFrame()]))
  await makeNoiseFile(folder.file('noise.raw'), NOISE_LENGTH, 7)
  await upload('noise', NOISE_LENGTH, 'application/offset+octet-stream', await Bun.file(folder.file('noise.raw')).bytes())
}, 120_000)

afterAll(async () => {
  await agent[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

async function upload(name: string, length: number, type: string, body: Uint8Array<ArrayBuffer>): Promise<void> {
  const metadata = `name ${btoa(name)},format ${btoa('raw')}`
  const created = await fetch(`${agent.url}/v1/uploads`, {
    method: 'POST',
    headers: { ...headers, 'Upload-Length': String(length), 'Upload-Metadata': metadata },
  })
  const url = new URL(created.headers.get('location') ?? '', agent.url)
  const sent = await fetch(url, { method: 'PATCH', headers: { ...headers, 'Upload-Offset': '0', 'Content-Type': type }, body })
  expect([sent.status, sent.headers.get('upload-offset')]).toEqual([204, String(length)])
  await until(`${name} is available`, async () => (await agent.client.images.get(name)).status === 'available')
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** A proxy in front of the agent; resolves with its URL once it responds. */
async function startProxy(program: string, args: (config: string) => string[], config: (port: number) => string): Promise<AsyncDisposable & { url: string }> {
  const port = await freePort()
  const file = folder.file(`${program}-${port}.conf`)
  await Bun.write(file, config(port))
  const binary = Bun.which(program, { PATH: `${process.env['PATH']}:/usr/sbin` }) ?? program
  const child = Bun.spawn([binary, ...args(file)], { stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' })
  const url = `http://127.0.0.1:${port}`
  await until(`${program} answers`, async () => (await fetch(`${url}/v1/health`).catch(() => undefined))?.ok)
  return {
    url,
    async [Symbol.asyncDispose]() {
      child.kill()
      await child.exited
    },
  }
}

const startNginx = () =>
  startProxy(
    'nginx',
    (config) => ['-c', config, '-e', 'stderr'],
    (port) => `${process.getuid?.() === 0 ? 'user root;' : ''} daemon off; worker_processes 1; pid ${folder.file('nginx.pid')}; events {}
http { access_log off; client_body_temp_path ${folder.file('body')}; proxy_temp_path ${folder.file('proxy')}; fastcgi_temp_path ${folder.file('fastcgi')};
uwsgi_temp_path ${folder.file('uwsgi')}; scgi_temp_path ${folder.file('scgi')};
server { listen 127.0.0.1:${port}; location / { proxy_pass ${agent.url}; } } }`,
  )

const startHaproxy = () =>
  startProxy(
    'haproxy',
    (config) => ['-f', config, '-db'],
    (port) => `defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend f
  bind 127.0.0.1:${port}
  default_backend b
backend b
  server s ${new URL(agent.url).host}
`,
  )

/** Downloads the long image with curl and kills the agent in the middle; returns the exit code and the number of received bytes. */
async function curlKilled(base: string, ...options: string[]): Promise<{ exitCode: number; bytes: number }> {
  const out = folder.file(`out-${crypto.randomUUID()}`)
  const child = Bun.spawn(
    ['curl', '-sS', '--fail', '--limit-rate', '40M', ...options, '-H', `Authorization: ${headers.Authorization}`, '-o', out, `${base}/v1/images/zeros/content`],
    { stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' },
  )
  await until('the download is in progress', () => (Bun.file(out).size >= KILLED_AT ? true : undefined))
  await agent.kill()
  const exitCode = await child.exited
  const bytes = statSync(out).size
  await agent.restart()
  return { exitCode, bytes }
}

describe('SIGKILL of the agent in the middle of a download', () => {
  const nginxTest = requireTool('nginx', 'nginx-light')
  const haproxyTest = requireTool('haproxy', 'haproxy')
  const curlTest = requireTool('curl', 'curl')

  const expectFailure = ({ exitCode, bytes }: { exitCode: number; bytes: number }): void => {
    // 18: fewer bytes than announced; 56: the connection was reset.
    expect([18, 56]).toContain(exitCode)
    expect(bytes).toBeLessThan(ZEROS_LENGTH)
  }

  nginxTest(
    'fails through nginx with its defaults, which use HTTP/1.0 to the agent',
    async () => {
      await using proxy = await startNginx()
      expectFailure(await curlKilled(proxy.url))
    },
    120_000,
  )

  nginxTest(
    'fails through nginx for HTTP/1.0 on both sides',
    async () => {
      await using proxy = await startNginx()
      expectFailure(await curlKilled(proxy.url, '-0'))
    },
    120_000,
  )

  haproxyTest(
    'fails through HAProxy',
    async () => {
      await using proxy = await startHaproxy()
      expectFailure(await curlKilled(proxy.url))
    },
    120_000,
  )

  curlTest('fails for curl', async () => expectFailure(await curlKilled(agent.url)), 120_000)
  curlTest('fails for curl -0', async () => expectFailure(await curlKilled(agent.url, '-0')), 120_000)

  test('gives a client of HTTP/1.0 fewer bytes than announced', async () => {
    using connection = new RawConnection(Number(new URL(agent.url).port))
    connection.send(`GET /v1/images/zeros/content HTTP/1.0\r\nAuthorization: ${headers.Authorization}\r\n\r\n`)
    await connection.until(() => connection.text.includes('\r\n\r\n'))
    connection.socket.pause()
    await agent.kill()
    connection.socket.resume()
    await connection.untilEnded()
    const [head = ''] = connection.text.split('\r\n\r\n', 1)
    expect(head.toLowerCase()).toContain(`content-length: ${ZEROS_LENGTH}`)
    expect(connection.text.length - head.length - 4).toBeLessThan(ZEROS_LENGTH)
    await agent.restart()
  }, 60_000)
})

describe('Content-Length', () => {
  const lengthOf = async (method: string, path: string, more: Record<string, string> = {}): Promise<[number, number, string | null]> => {
    const response = await fetch(`${agent.url}${path}`, { method, headers: { ...headers, ...more } })
    const { byteLength } = await response.arrayBuffer()
    return [response.status, byteLength, response.headers.get('content-length')]
  }

  test('is present for GET, ranges of every length, and HEAD', async () => {
    const pack = (await Array.fromAsync(new Bun.Glob('packs/**/*.pack').scan(folder.file('store')))).find(
      (path) => statSync(folder.file(`store/${path}`)).size > 4 * MIB,
    )
    const { size } = statSync(folder.file(`store/${pack}`))
    for (const [path, whole] of [
      ['/v1/images/noise/content', NOISE_LENGTH],
      [`/v1/files/content?path=${encodeURIComponent(pack ?? '')}`, size],
    ] as const) {
      expect(await lengthOf('GET', path)).toEqual([200, whole, String(whole)])
      expect(await lengthOf('HEAD', path)).toEqual([200, 0, String(whole)])
      for (const length of [1, 1000, 3 * MIB]) {
        expect(await lengthOf('GET', path, { Range: `bytes=5-${5 + length - 1}` })).toEqual([206, length, String(length)])
      }
    }
  }, 60_000)
})

describe('aria2', () => {
  const aria2Test = requireTool('aria2c', 'aria2')
  const download = (...options: string[]) =>
    Bun.spawn(
      [
        ...[
          'aria2c',
          '-x8',
          '-s8',
          '-k1M',
          '--allow-overwrite=false',
          '--auto-file-renaming=false',
          '--file-allocation=none',
          '--auto-save-interval=1',
          ...options,
        ],
        ...['--header', `Authorization: ${headers.Authorization}`, '-d', folder.path, '-o', 'aria.raw', `${agent.url}/v1/images/noise/content`],
      ],
      { stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' },
    )
  const served = async (): Promise<number> => {
    const text = await (await fetch(`${agent.url}/metrics`, { headers })).text()
    return Number(/^slipway_content_served_bytes_total (\d+)/m.exec(text)?.[1])
  }

  aria2Test(
    'requests ranges over eight connections, and resumes its download',
    async () => {
      const before = await served()
      const begun = download('--max-overall-download-limit=4M')
      // One connection starts at 0 and may request everything; the other seven request ranges.
      await until('eight connections are in use', () => (agent.log().match(/"status":206/g) ?? []).length >= 7)
      await until('some of it is on disk', () => statSync(folder.file('aria.raw'), { throwIfNoEntry: false })?.size)
      begun.kill('SIGINT')
      await begun.exited
      expect(await download('-c').exited).toBe(0)
      expect(Buffer.compare(await Bun.file(folder.file('aria.raw')).bytes(), await Bun.file(folder.file('noise.raw')).bytes())).toBe(0)
      // The second run requested only what the first one had not received.
      expect((await served()) - before).toBeLessThan(1.9 * NOISE_LENGTH)
    },
    120_000,
  )
})
