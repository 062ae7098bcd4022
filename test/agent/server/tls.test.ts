// The TLS versions and suites that openssl can negotiate, and a response over TLS that fails.

import { afterAll, beforeAll, describe, expect } from 'bun:test'
import { systemClock } from '../../../agent/system/clock.ts'
import { readSendQueues } from '../../../agent/system/send-queues.ts'
import { openServer } from '../../../agent/server/server.ts'
import type { HttpServer } from '../../../agent/server/server.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { requireTool } from '../../support/require.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

const opensslTest = requireTool('openssl', 'openssl')
const curlTest = requireTool('curl', 'curl')
const KEYS = { rsa: ['-newkey', 'rsa:2048'], ecdsa: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'] } as const

const servers = new Map<string, HttpServer>()

beforeAll(async () => {
  await using folder = await createTemporaryFolder()
  for (const [kind, key] of Object.entries(KEYS)) {
    const [certFile, keyFile] = [folder.file(`${kind}.cert`), folder.file(`${kind}.key`)]
    const order = ['openssl', 'req', '-x509', ...key, '-nodes', '-keyout', keyFile, '-out', certFile, '-days', '2', '-subj', '/CN=localhost']
    if ((await Bun.spawn(order, { stderr: 'ignore' }).exited) !== 0) return
    const tls = { cert: await Bun.file(certFile).text(), key: await Bun.file(keyFile).text() }
    const application = (request: Request): Response => (request.url.endsWith('/cut') ? new Response(failing()) : new Response(new Uint8Array(3_000_000)))
    servers.set(
      kind,
      await openServer({ host: '127.0.0.1', port: 0, tls, application, clock: systemClock, log: createMemoryLog(), sendQueues: readSendQueues }),
    )
  }
})

afterAll(async () => {
  for (const server of servers.values()) await server[Symbol.asyncDispose]()
})

function failing(): ReadableStream<Uint8Array> {
  let given = 0
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      await Bun.sleep(1)
      if (given++ < 3) controller.enqueue(new Uint8Array(100_000))
      else controller.error(new Error('broken'))
    },
  })
}

/** Returns the suite that a handshake agrees on; undefined when it fails. */
async function suiteOf(kind: string, options: readonly string[]): Promise<string | undefined> {
  const order = ['openssl', 's_client', '-connect', `127.0.0.1:${servers.get(kind)?.port}`, ...options]
  const child = Bun.spawn(order, { stdin: 'ignore', stdout: 'pipe', stderr: 'ignore' })
  const suite = /Cipher is (\S+)/.exec(await new Response(child.stdout).text())?.[1]
  return suite === '(NONE)' ? undefined : suite
}

describe('cipher suites', () => {
  for (const suite of [
    'AES128-GCM-SHA256',
    'AES256-GCM-SHA384',
    'AES128-SHA',
    'AES256-SHA256',
    'ECDHE-RSA-AES128-SHA',
    'ECDHE-RSA-AES256-SHA384',
    'DES-CBC3-SHA',
  ]) {
    opensslTest(`${suite} is refused`, async () => expect(await suiteOf('rsa', ['-tls1_2', '-cipher', `${suite}:@SECLEVEL=0`])).toBeUndefined())
  }

  opensslTest('TLS 1.0 and 1.1 are refused with every suite', async () => {
    for (const version of ['-tls1', '-tls1_1']) expect(await suiteOf('rsa', [version, '-cipher', 'ALL:@SECLEVEL=0'])).toBeUndefined()
  })

  for (const [kind, name] of [
    ['rsa', 'RSA'],
    ['ecdsa', 'ECDSA'],
  ] as const) {
    opensslTest(`TLS 1.2 accepts every AEAD suite with ECDHE, with a key of ${name}`, async () => {
      for (const cipher of ['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305']) {
        expect(await suiteOf(kind, ['-tls1_2', '-cipher', `ECDHE-${name}-${cipher}`])).toBe(`ECDHE-${name}-${cipher}`)
      }
    })
  }

  opensslTest('TLS 1.3 is accepted', async () => expect(await suiteOf('rsa', ['-tls1_3'])).toStartWith('TLS_'))
})

describe('content', () => {
  const curl = async (path: string, ...options: string[]): Promise<[number, number]> => {
    const child = Bun.spawn(['curl', '-sk', ...options, `https://127.0.0.1:${servers.get('rsa')?.port}${path}`], { stdout: 'pipe', stderr: 'ignore' })
    const { byteLength } = await new Response(child.stdout).arrayBuffer()
    return [await child.exited, byteLength]
  }

  curlTest('comes whole', async () => expect(await curl('/')).toEqual([0, 3_000_000]))

  curlTest('that fails ends with an error', async () => expect((await curl('/cut', '--http1.1'))[0]).not.toBe(0))

  curlTest('of unknown length is refused for HTTP/1.0, which cannot distinguish its end from a failure', async () =>
    expect(await curl('/cut', '-0', '--fail', '--no-progress-meter')).toEqual([22, 0]),
  )
})
