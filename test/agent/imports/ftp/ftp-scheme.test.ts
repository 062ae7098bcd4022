// Imports by ftp from vsftpd, and from servers that misbehave.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { chmod } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { createFtpScheme } from '../../../../agent/imports/ftp/ftp-scheme.ts'
import type { SourceCredentials } from '../../../../agent/imports/source.ts'
import { startFtpServer } from '../../../support/clients/file-servers.ts'
import type { FileServer } from '../../../support/clients/file-servers.ts'
import { seededBytes } from '../../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { hasTool, requireThat, requireTool } from '../../../support/require.ts'
import { refusalOf } from '../source-refusal.ts'

const LENGTH = 5_000_000
const bytes = seededBytes(LENGTH, 1)
const { signal } = new AbortController()
const scheme = createFtpScheme({ resolve: async () => ['127.0.0.1'] })
const isRoot = process.getuid?.() === 0
const ftpTest = isRoot ? requireTool('vsftpd', 'vsftpd') : requireThat(false, 'vsftpd changes its root folder, which needs root rights')

const digestOf = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex')

async function readFrom(url: string, offset: number, credentials: SourceCredentials = {}) {
  await using open = await scheme.source({ kind: 'url', url }, credentials).open(signal)
  return { facts: open.facts, digest: digestOf(Buffer.concat(await Array.fromAsync(open.read(offset, signal)))) }
}

describe('vsftpd', () => {
  let folder: TemporaryFolder
  let server: FileServer | undefined
  let base = ''

  beforeAll(async () => {
    folder = await createTemporaryFolder()
    await Bun.write(folder.file('root', 'a b.img'), bytes)
    await Bun.write(folder.file('root', 'sub', 'empty.img'), '')
    await chmod(folder.path, 0o755)
    await chmod(folder.file('root'), 0o555)
    if (!isRoot || !hasTool('vsftpd', 'vsftpd')) return
    server = await startFtpServer(folder.file('root'), folder.path)
    base = `ftp://localhost:${server.port}`
  })
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })

  ftpTest('gives length, name and time, and the bytes from any offset', async () => {
    for (const offset of [0, 1, 4_999_999]) {
      const { facts, digest } = await readFrom(`${base}/a%20b.img`, offset)
      expect(facts).toEqual({ length: LENGTH, filename: 'a b.img', validator: expect.stringMatching(/^5000000-\d+$/), canResume: true })
      expect(digest).toBe(digestOf(bytes.subarray(offset)))
    }
    expect((await readFrom(`${base}/sub/empty.img`, 0)).digest).toBe(digestOf(new Uint8Array(0)))
  })

  ftpTest('refuses what does not exist, and a login', async () => {
    expect(await refusalOf(readFrom(`${base}/none.img`, 0))).toMatch(/^source-refused: localhost:\d+ has no file "none.img" that may be read \(550\)\.$/)
    expect(await refusalOf(readFrom(`${base}/sub`, 0))).toMatch(/^source-refused: /)
    expect(await refusalOf(readFrom(`${base}/a%20b.img`, 0, { username: 'ann', password: 'wrong' }))).toMatch(/^source-refused: .* refused the login of "ann"/)
  })

  ftpTest('stops when the import is cancelled', async () => {
    const stop = new AbortController()
    await using open = await scheme.source({ kind: 'url', url: `${base}/a%20b.img` }, {}).open(stop.signal)
    const reading = open.read(0, stop.signal)[Symbol.asyncIterator]()
    await reading.next()
    stop.abort(new Error('cancelled'))
    const failure = await (async () => {
      for (;;) if ((await reading.next()).done === true) return 'no error'
    })().catch((error: unknown) => String(error))
    expect(failure).toBe('Error: cancelled')
  })

  ftpTest('with a certificate that is not trusted is refused by ftps, without a fall-back to plain FTP', async () => {
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
    const pem = folder.file('tls.pem')
    expect(
      Bun.spawnSync(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...subject, '-keyout', pem, '-out', folder.file('c.pem')])
        .exitCode,
    ).toBe(0)
    await Bun.write(pem, (await Bun.file(pem).text()) + (await Bun.file(folder.file('c.pem')).text()))
    await using tls = await startFtpServer(folder.file('root'), folder.path, { certificate: pem, lines: ['require_ssl_reuse=NO'] })
    expect(await refusalOf(readFrom(`ftps://localhost:${tls.port}/a%20b.img`, 0))).toMatch(/^interrupted: the connection to localhost:\d+ failed$/)
  })
})

/** Starts a server that answers each line of the control connection with a function. */
async function startScripted(answer: (line: string, control: Socket) => string | undefined) {
  const sockets: Socket[] = []
  const server = createServer((control) => {
    sockets.push(control)
    control.on('error', () => {})
    control.write('220 ready\r\n')
    control.on('data', (piece) => {
      for (const line of piece.toString().split('\r\n').filter(Boolean)) {
        const told = answer(line, control)
        if (told !== undefined) control.write(`${told}\r\n`)
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `ftp://localhost:${(server.address() as AddressInfo).port}/x.img`,
    [Symbol.dispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

/** Starts a server of a file whose data connections send `sent`. */
async function startFileServer({ size = '10', sent = '0123456789', end = '226 done', pasv = '' }) {
  const data = createServer((socket) => {
    socket.on('error', () => {})
    socket.end(sent)
  })
  await new Promise<void>((resolve) => data.listen(0, '127.0.0.1', resolve))
  const { port } = data.address() as AddressInfo
  const commands: string[] = []
  const control = await startScripted((line, socket) => {
    commands.push(line)
    const [command = ''] = line.split(' ')
    if (command === 'USER') return '331 password'
    if (command === 'SIZE') return size === '' ? '502 no' : `213 ${size}`
    if (command === 'EPSV') return pasv === '' ? `229 Entering Extended Passive Mode (|||${port}|)` : '500 no'
    if (command === 'PASV') return pasv.replace('PORT', `${port >> 8},${port & 255}`)
    if (command === 'REST') return '350 restarting'
    if (command === 'FEAT' || command === 'MDTM') return '502 no'
    if (command !== 'RETR') return '230 ok'
    socket.write('150 here it comes\r\n')
    setTimeout(() => socket.write(`${end}\r\n`), 20)
    return undefined
  })
  return {
    url: control.url,
    commands,
    [Symbol.dispose]() {
      control[Symbol.dispose]()
      data.close()
    },
  }
}

describe('a server that', () => {
  test('sends what it announced gives its bytes', async () => {
    using server = await startFileServer({})
    expect((await readFrom(server.url, 0)).digest).toBe(digestOf(Buffer.from('0123456789')))
    expect(server.commands).toContain('TYPE I')
    expect(server.commands).toContain('RETR x.img')
  })

  test('does not tell the length is refused', async () => {
    using server = await startFileServer({ size: '' })
    expect(await refusalOf(readFrom(server.url, 0))).toMatch(/^source-refused: .* does not tell the length of the file/)
  })

  test('sends fewer bytes is tried again', async () => {
    using server = await startFileServer({ size: '11' })
    expect(await refusalOf(readFrom(server.url, 0))).toMatch(/^interrupted: the connection to localhost:\d+ failed$/)
  })

  test('sends more bytes, or ignores REST, is refused', async () => {
    using longer = await startFileServer({ size: '9' })
    expect(await refusalOf(readFrom(longer.url, 0))).toMatch(/^source-changed: .* sent more bytes than the 9 that it announced/)
    using restless = await startFileServer({})
    expect(await refusalOf(readFrom(restless.url, 4))).toMatch(/^source-changed: /)
  })

  test('reports an error after the last byte gives no last byte', async () => {
    using server = await startFileServer({ end: '426 aborted' })
    expect(await refusalOf(readFrom(server.url, 0))).toMatch(/^interrupted: .* answered 426$/)
  })

  test('directs the data connection to another address is not followed there', async () => {
    using server = await startFileServer({ pasv: '227 Entering Passive Mode (192,0,2,1,PORT)' })
    expect(await refusalOf(readFrom(server.url, 0))).toMatch(/^interrupted: the connection to localhost:\d+ failed$/)
  })

  test('never ends its answer does not fill the memory', async () => {
    using server = await startScripted((line, control) => {
      if (!line.startsWith('USER')) return '200 ok'
      for (let count = 0; count < 100; count++) control.write(`230-${'x'.repeat(65_536)}\r\n`)
      return undefined
    })
    expect(await refusalOf(readFrom(server.url, 0))).toMatch(/^interrupted: /)
  })

  test('sends its own words in a refusal does not get them shown', async () => {
    using server = await startScripted((line) => (line.startsWith('USER') ? '550 secret of another server' : '200 ok'))
    const refusal = await refusalOf(readFrom(server.url, 0))
    expect(refusal).toMatch(/^source-refused: /)
    expect(refusal).not.toContain('secret')
  })
})

describe('a URL', () => {
  test.each([
    ['ftp://h/', 'names a folder'],
    ['ftp://h/folder/', 'names a folder'],
    ['ftp://h/a%0d%0aDELE%20b', 'control characters'],
    ['ftp://h/a%00b', 'control characters'],
    ['ftp://h/a%ff', 'not valid'],
    ['ftp://h/a?type=a', 'no query'],
  ])('%s is refused', async (url, why) => {
    expect(await refusalOf(scheme.check({ kind: 'url', url }))).toContain(why)
  })

  test('with a path of more than 4096 bytes is refused', async () => {
    expect(await refusalOf(scheme.check({ kind: 'url', url: `ftp://h/${'a'.repeat(4096)}` }))).toBe('no error')
    expect(await refusalOf(scheme.check({ kind: 'url', url: `ftp://h/${'a'.repeat(4097)}` }))).toContain('longer than 4096 bytes')
  })

  test('names a path relative to the login, or an absolute one', async () => {
    using server = await startFileServer({})
    for (const [path, sent] of [
      ['a/b.img', 'RETR a/b.img'],
      ['%2Fsrv/b.img', 'RETR /srv/b.img'],
      ['/srv/c.img', 'RETR /srv/c.img'],
    ]) {
      await readFrom(server.url.replace('x.img', path ?? ''), 0)
      expect(server.commands.at(-1)).toBe(sent ?? '')
    }
  })
})
