// Imports by sftp from OpenSSH, and with passwords from a server in this process.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { Server, utils } from 'ssh2'
import { openHostKeys } from '../../../../agent/imports/sftp/host-keys.ts'
import { createSftpScheme } from '../../../../agent/imports/sftp/sftp-scheme.ts'
import type { SourceCredentials } from '../../../../agent/imports/source.ts'
import type { NewEvent } from '../../../../agent/contract/work.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import { createCuttingProxy } from '../../../support/clients/cutting-proxy.ts'
import { startSftpServer } from '../../../support/clients/file-servers.ts'
import type { SftpServer } from '../../../support/clients/file-servers.ts'
import { seededBytes } from '../../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { hasTool, requireThat, requireTool } from '../../../support/require.ts'
import { refusalOf } from '../source-refusal.ts'

const LENGTH = 5_000_000
const bytes = seededBytes(LENGTH, 1)
const { signal } = new AbortController()
// sshd of the test allows this user.
const user = 'root'
const isRoot = process.getuid?.() === 0
const sftpTest = isRoot ? requireTool('sshd', 'openssh-server') : requireThat(false, 'sshd needs root rights')

const digestOf = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex')

/** A scheme with pins of its own. */
function createScheme() {
  let stored: unknown
  const events: NewEvent[] = []
  const kept = { read: () => stored, write: (_key: string, value: unknown) => void (stored = value) }
  const hostKeys = openHostKeys({ kept, clock: systemClock, emit: (event) => void events.push(event) })
  const scheme = createSftpScheme({ resolve: async () => ['127.0.0.1'] }, hostKeys)
  const read = async (url: string, offset: number, credentials: SourceCredentials) => {
    await using open = await scheme.source({ kind: 'url', url }, credentials).open(signal)
    return { facts: open.facts, digest: digestOf(Buffer.concat(await Array.fromAsync(open.read(offset, signal)))) }
  }
  return { scheme, hostKeys, events, read }
}

describe('sshd', () => {
  let folder: TemporaryFolder
  let server: SftpServer | undefined
  let base = ''
  let login: SourceCredentials = {}

  beforeAll(async () => {
    folder = await createTemporaryFolder()
    await Bun.write(folder.file('a b.img'), bytes)
    await Bun.write(folder.file('empty.img'), '')
    await mkdir(folder.file('folder'))
    if (!isRoot || !hasTool('sshd', 'openssh-server')) return
    server = await startSftpServer(folder.path)
    base = `sftp://localhost:${server.port}${folder.path}`
    login = { username: user, privateKey: server.privateKey }
  })
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })

  sftpTest('gives length, name and time, and the bytes from any offset', async () => {
    const { read } = createScheme()
    for (const offset of [0, 1, 4_999_999]) {
      const { facts, digest } = await read(`${base}/a%20b.img`, offset, login)
      expect(facts).toEqual({ length: LENGTH, filename: 'a b.img', validator: expect.stringMatching(/^5000000-\d+$/), canResume: true })
      expect(digest).toBe(digestOf(bytes.subarray(offset)))
    }
    expect((await read(`${base}/empty.img`, 0, login)).digest).toBe(digestOf(new Uint8Array(0)))
  })

  sftpTest('has its host key pinned on first use, and is refused with another one', async () => {
    const { read, hostKeys, events } = createScheme()
    await read(`${base}/empty.img`, 0, login)
    const host = `localhost:${server?.port}`
    expect(hostKeys.find(host)).toMatchObject({ host, algorithm: 'ssh-ed25519', fingerprint: server?.fingerprint })
    expect(events.map(({ type, subject }) => `${type} ${subject}`)).toEqual([`import.host-key-pinned ${host}`])
    await using other = await startSftpServer(folder.path)
    await using proxy = await createCuttingProxy(server?.port ?? 0)
    const url = `sftp://localhost:${proxy.port}${folder.path}/empty.img`
    await read(url, 0, login)
    proxy.setTarget(other.port)
    const otherLogin = { username: user, privateKey: other.privateKey }
    expect(await refusalOf(read(url, 0, otherLogin))).toMatch(
      /^host-key-mismatch: The host key of localhost:\d+ is SHA256:.{43} \(ssh-ed25519\), but SHA256:.{43} was pinned at /,
    )
    expect(await refusalOf(read(url, 0, { ...otherLogin, hostKey: server?.fingerprint }))).toMatch(
      /^host-key-mismatch: .* not SHA256:.{43} as the request says\.$/,
    )
    await read(url, 0, { ...otherLogin, hostKey: other.fingerprint })
    await read(url, 0, otherLogin)
    expect(hostKeys.find(`localhost:${proxy.port}`)?.fingerprint).toBe(other.fingerprint)
  })

  sftpTest('refuses what does not exist, folders, and a login', async () => {
    const { read } = createScheme()
    expect(await refusalOf(read(`${base}/none.img`, 0, login))).toMatch(/^source-refused: localhost:\d+ has no file ".*none\.img"\.$/)
    expect(await refusalOf(read(`${base}/folder`, 0, login))).toMatch(/^source-refused: /)
    expect(await refusalOf(read(`${base}/a%20b.img`, 0, { username: user, password: 'wrong' }))).toMatch(/^source-refused: .* refused the login of /)
    expect(await refusalOf(read(`${base}/a%20b.img`, 0, { username: user, privateKey: 'no key' }))).toMatch(/^invalid-input: The private key cannot be used/)
    expect(await refusalOf(read(`${base}/a%20b.img`, 0, {}))).toMatch(/^invalid-input: An import by sftp needs a username/)
  })

  sftpTest('may be cut anywhere, and is then tried again', async () => {
    const { read } = createScheme()
    await using proxy = await createCuttingProxy(server?.port ?? 0)
    const url = `sftp://localhost:${proxy.port}${folder.path}/a%20b.img`
    await read(url, 0, login)
    for (const cutAfter of [10, 500, 2_000, 4_000, 1_000_000]) {
      proxy.setFaults({ cutAfter, direction: 'down', reset: cutAfter === 500 })
      expect(await refusalOf(read(url, 0, login))).toMatch(/^interrupted: the connection to localhost:\d+ (failed|ended)$/)
    }
  })

  sftpTest('that changes the file while it is read gives no last byte', async () => {
    const { scheme } = createScheme()
    await Bun.write(folder.file('changing.img'), bytes)
    await using open = await scheme.source({ kind: 'url', url: `${base}/changing.img` }, login).open(signal)
    const pieces = open.read(0, signal)[Symbol.asyncIterator]()
    await pieces.next()
    await Bun.write(folder.file('changing.img'), new Uint8Array(LENGTH + 1))
    const failure = (async () => {
      for (;;) if ((await pieces.next()).done === true) return
    })()
    expect(await refusalOf(failure)).toMatch(/^source-changed: /)
  })
})

/** Starts an SSH server that accepts one password, and then closes the session. */
async function startPasswordServer(onPassword: (password: string) => void) {
  const key = utils.generateKeyPairSync('ed25519')
  const server = new Server({ hostKeys: [key.private] }, (client) => {
    client.on('error', () => {})
    client.on('authentication', (attempt) => {
      if (attempt.method !== 'password') return attempt.reject(['password'])
      onPassword(attempt.password)
      if (attempt.password === 'right') attempt.accept()
      else attempt.reject()
    })
    client.on('ready', () => client.on('session', (_accept, reject) => reject()))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  return { url: `sftp://localhost:${(server.address() as AddressInfo).port}/x.img`, [Symbol.dispose]: () => void server.close() }
}

test('a password is sent only after the host key was checked', async () => {
  const { read } = createScheme()
  const sent: string[] = []
  using server = await startPasswordServer((password) => void sent.push(password))
  const login = { username: 'ann', password: 'right' }
  expect(await refusalOf(read(server.url, 0, { ...login, hostKey: `SHA256:${'A'.repeat(43)}` }))).toMatch(/^host-key-mismatch: /)
  expect(sent).toEqual([])
  expect(await refusalOf(read(server.url, 0, login))).toMatch(/^source-refused: .* offers no SFTP\.$/)
  expect(sent).toEqual(['right'])
  expect(await refusalOf(read(server.url, 0, { ...login, password: 'wrong' }))).toMatch(/^source-refused: .* refused the login of "ann"\.$/)
})

test('a server that is no SSH server is not waited for longer than its first bytes', async () => {
  const { read } = createScheme()
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.write('HTTP/1.1 400 Bad Request\r\n'.repeat(2000))
    socket.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `sftp://localhost:${(server.address() as AddressInfo).port}/x.img`
  expect(await refusalOf(read(url, 0, { username: 'ann', password: 'right' }))).toMatch(/^(interrupted|source-refused): /)
  server.close()
})

test('hosts that are numbers are normalized before they are checked', async () => {
  const hosts: string[] = []
  const { hostKeys } = createScheme()
  const guard = { resolve: async ({ host, port }: { host: string; port: number }) => (hosts.push(`${host} ${port}`), ['192.0.2.1']) }
  const scheme = createSftpScheme(guard, hostKeys)
  for (const host of ['2130706433', '0x7f.1', '127.1', '[::ffff:127.0.0.1]', 'HUB.example', 'hub.example:80', 'hub.example:22'])
    await scheme.check({ kind: 'url', url: `sftp://${host}/x.img` })
  expect(hosts).toEqual(['127.0.0.1 22', '127.0.0.1 22', '127.0.0.1 22', '[::ffff:7f00:1] 22', 'hub.example 22', 'hub.example 80', 'hub.example 22'])
})
