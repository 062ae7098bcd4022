// Runs the configurations of docs/reverse-proxies.md, with other ports and files: uploads resume, early refusals and ranges arrive, and
// bodies are forwarded without buffering.

import { afterAll, beforeAll, describe, expect } from 'bun:test'
import { join } from 'node:path'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { makeNoiseFile } from '../../support/images/noise-file.ts'
import { freePort } from '../../support/machine/free-port.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { hasTool, requireTool } from '../../support/require.ts'
import { until } from '../../support/until.ts'

const MIB = 1024 * 1024
const LENGTH = 48 * MIB
const authorization = `Authorization: Bearer ${TEST_ADMIN_TOKEN}`

let folder: TemporaryFolder
let agent: AgentProcess

beforeAll(async () => {
  folder = await createTemporaryFolder()
  agent = await startAgent(folder.path)
  await makeNoiseFile(folder.file('noise.raw'), LENGTH, 3)
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  const made = Bun.spawnSync([
    'openssl',
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '2',
    ...subject,
    '-keyout',
    folder.file('edge-a.key'),
    '-out',
    folder.file('edge-a.pem'),
  ])
  expect(made.exitCode).toBe(0)
  await Bun.write(folder.file('edge-a-with-key.pem'), (await Bun.file(folder.file('edge-a.pem')).text()) + (await Bun.file(folder.file('edge-a.key')).text()))
}, 60_000)

afterAll(async () => {
  await agent[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

/** Returns the documented configuration in one fence language, with this test's ports and files. */
async function documented(language: string, port: number): Promise<string> {
  const text = await Bun.file(join(import.meta.dir, '../../../docs/reverse-proxies.md')).text()
  const block = new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(text)?.[1]
  if (block === undefined) throw new Error(`docs/reverse-proxies.md has no ${language} block`)
  return block
    .replaceAll('/etc/slipway/tls/', `${folder.path}/`)
    .replace('listen 443 ssl', `listen 127.0.0.1:${port} ssl`)
    .replace('bind :443', `bind 127.0.0.1:${port}`)
    .replaceAll('127.0.0.1:8420', new URL(agent.url).host)
}

interface Proxy extends AsyncDisposable {
  readonly url: string
}

const PROXIES = {
  async nginx(): Promise<Proxy> {
    const port = await freePort()
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder.file(`nginx-${name}`)};`).join(' ')
    const server = await documented('nginx', port)
    const text = `${process.getuid?.() === 0 ? 'user root;' : ''} daemon off; worker_processes 1; pid ${folder.file('nginx.pid')}; events {}\nhttp { access_log off; ${paths}\n${server}}\n`
    return start('nginx', ['-c', folder.file('nginx.conf'), '-e', 'stderr'], 'nginx.conf', text, port)
  },
  async haproxy(): Promise<Proxy> {
    const port = await freePort()
    return start('haproxy', ['-f', folder.file('haproxy.cfg'), '-db'], 'haproxy.cfg', await documented('haproxy', port), port)
  },
}

async function start(program: string, args: readonly string[], file: string, text: string, port: number): Promise<Proxy> {
  await Bun.write(folder.file(file), text)
  const binary = Bun.which(program, { PATH: `${process.env['PATH']}:/usr/sbin` }) ?? program
  const child = Bun.spawn([binary, ...args], { stdin: 'ignore', stdout: 'ignore', stderr: 'inherit' })
  const url = `https://localhost:${port}`
  await until(`${program} answers`, async () => (await curl(`${url}/v1/health`, '-f')).code === 0)
  return {
    url,
    async [Symbol.asyncDispose]() {
      child.kill()
      await child.exited
    },
  }
}

async function curl(url: string, ...options: string[]): Promise<{ code: number; text: string }> {
  const child = Bun.spawn(['curl', '-sS', '--cacert', folder.file('edge-a.pem'), '-H', authorization, '-H', 'Tus-Resumable: 1.0.0', ...options, url], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'ignore',
  })
  const [text, code] = await Promise.all([new Response(child.stdout).text(), child.exited])
  return { code, text }
}

const PATCH = ['-X', 'PATCH', '-H', 'Content-Type: application/offset+octet-stream', '-D', '-', '-o', '/dev/null']

/** Creates an upload through the proxy; returns its address there. */
async function createUpload(url: string, name: string, length: number): Promise<string> {
  const created = await curl(
    `${url}/v1/uploads`,
    '-X',
    'POST',
    '-D',
    '-',
    '-H',
    `Upload-Length: ${length}`,
    '-H',
    `Upload-Metadata: name ${btoa(name)},format ${btoa('raw')}`,
  )
  return new URL(/^location: (\S+)/im.exec(created.text)?.[1] ?? '', url).href
}

const offsetOf = async (upload: string): Promise<number> => Number(/^upload-offset: (\d+)/im.exec((await curl(upload, '-I')).text)?.[1])

for (const name of ['nginx', 'haproxy'] as const) {
  const proxyTest = hasTool('openssl', 'openssl') ? requireTool(name, name === 'nginx' ? 'nginx-light' : name) : requireTool('openssl', 'openssl')
  describe(`${name} as documented`, () => {
    proxyTest('forwards a body without buffering, and an upload that was cut resumes', async () => {
      await using proxy = await PROXIES[name]()
      const upload = await createUpload(proxy.url, `through-${name}`, LENGTH)
      // The client sends more slowly than the agent commits. An offset that grows meanwhile proves that the proxy does not buffer.
      const sending = Bun.spawn(
        [
          'curl',
          '-sS',
          '--cacert',
          folder.file('edge-a.pem'),
          '-H',
          authorization,
          '-H',
          'Tus-Resumable: 1.0.0',
          '-H',
          'Upload-Offset: 0',
          ...PATCH,
          '--limit-rate',
          '4M',
          '--data-binary',
          `@${folder.file('noise.raw')}`,
          upload,
        ],
        { stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' },
      )
      const received = async (): Promise<number> =>
        Number(/^slipway_content_received_bytes_total (\d+)$/m.exec(await (await fetch(`${agent.url}/metrics`, { headers: agent.headers() })).text())?.[1])
      const before = await received()
      await until('bytes arrive while the client sends', async () => (await received()) > before)
      expect(sending.exitCode).toBe(null)
      sending.kill('SIGKILL')
      await sending.exited
      const offset = await until('received bytes are committed', async () => (await offsetOf(upload)) || undefined)
      expect(offset).toBeLessThan(LENGTH)
      await Bun.write(folder.file('rest.raw'), (await Bun.file(folder.file('noise.raw')).bytes()).subarray(offset))
      const rest = await curl(upload, ...PATCH, '-H', `Upload-Offset: ${offset}`, '--data-binary', `@${folder.file('rest.raw')}`)
      expect(rest.text).toMatch(/^content-location: \/v1\/images\/img_/im)
      await until('the image is available', async () => (await agent.client.images.get(`through-${name}`)).status === 'available')

      const back = folder.file(`back-${name}.raw`)
      expect((await curl(`${proxy.url}/v1/images/through-${name}/content`, '-f', '-o', back)).code).toBe(0)
      expect(Bun.spawnSync(['cmp', folder.file('noise.raw'), back]).exitCode).toBe(0)
      const part = await curl(`${proxy.url}/v1/images/through-${name}/content`, '-f', '-r', `1000-1999`, '-D', '-', '-o', folder.file('part.raw'))
      expect(part.text).toMatch(/^content-range: bytes 1000-1999\/50331648/im)
      expect(part.text).toMatch(/^etag: "/im)
      expect(await Bun.file(folder.file('part.raw')).bytes()).toEqual((await Bun.file(folder.file('noise.raw')).bytes()).slice(1000, 2000))
    })

    proxyTest('forwards a refusal that is sent before the body was read, and links have its own address', async () => {
      await using proxy = await PROXIES[name]()
      const upload = await createUpload(proxy.url, `refused-${name}`, LENGTH)
      const refused = await curl(upload, ...PATCH, '-H', 'Upload-Offset: 4096', '--data-binary', `@${folder.file('noise.raw')}`)
      expect(refused.text).toMatch(/^HTTP\/\S+ 409/m)
      expect(refused.text).toMatch(/^upload-offset: 0/im)
      const link = await curl(`${proxy.url}/v1/links`, '-d', '{"kind":"upload"}', '-H', 'Content-Type: application/json')
      expect(JSON.parse(link.text).url).toStartWith(`${proxy.url}/v1/uploads`)
    })
  })
}
