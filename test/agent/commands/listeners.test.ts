// The sockets of an agent: their answers while it starts, serves and stops, and the reload of certificates.

import { describe, expect, test } from 'bun:test'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:tls'
import { openListeners } from '../../../agent/commands/listeners.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { addressesWithin } from '../../../agent/system/network.ts'
import { agentConfig } from '../../support/agents/agent-config.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { requireTool } from '../../support/require.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

const log = createMemoryLog()
const opensslTest = requireTool('openssl', 'openssl')

describe('answers', () => {
  test('are 503 until the store is open, then those of the application', async () => {
    await using listeners = await openListeners({ config: agentConfig('/tmp/x'), clock: systemClock, log })
    const starting = await fetch(`${listeners.urls[0]}/v1/health`)
    expect(starting.status).toBe(503)
    expect(await starting.json()).toMatchObject({ type: 'urn:slipway:problem:store-unavailable', detail: 'The agent is starting.' })
    listeners.serve(() => new Response('open'))
    expect(await (await fetch(`${listeners.urls[0]}/`)).text()).toBe('open')
  })

  test('a drain lets requests finish, and refuses new ones with 503 and Retry-After', async () => {
    await using listeners = await openListeners({ config: agentConfig('/tmp/x'), clock: systemClock, log })
    const begun = Promise.withResolvers<void>()
    const end = Promise.withResolvers<void>()
    listeners.serve(async () => {
      begun.resolve()
      await end.promise
      return new Response('whole')
    })
    const running = fetch(`${listeners.urls[0]}/`)
    await begun.promise
    const drained = listeners.drain(60_000)
    const refused = await fetch(`${listeners.urls[0]}/`)
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '3'])
    expect(await refused.json()).toMatchObject({ type: 'urn:slipway:problem:shutting-down' })
    end.resolve()
    expect(await (await running).text()).toBe('whole')
    await drained
  })

  test('a drain aborts requests that do not finish in time', async () => {
    await using listeners = await openListeners({ config: agentConfig('/tmp/x'), clock: systemClock, log })
    const begun = Promise.withResolvers<void>()
    listeners.serve(() => {
      begun.resolve()
      return Promise.withResolvers<Response>().promise
    })
    const running = fetch(`${listeners.urls[0]}/`).catch(() => 'cut')
    await begun.promise
    await listeners.drain(50)
    await listeners[Symbol.asyncDispose]()
    expect(await running).toBe('cut')
  })
})

describe('refusals', () => {
  test('a taken port, with the next step', async () => {
    await using other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    const config = { ...agentConfig('/tmp/x'), network: { listen: { host: '127.0.0.1', port }, data: '', sync: '', plainHttp: false } }
    const sentence = `The address 127.0.0.1:${port} is taken by another process. Stop that process, or set network.listen to another port.`
    await expect(openListeners({ config, clock: systemClock, log })).rejects.toThrow(sentence)
  })

  test('an address of another machine', async () => {
    const config = { ...agentConfig('/tmp/x'), network: { listen: { host: '203.0.113.7', port: 0 }, data: '', sync: '', plainHttp: false } }
    await expect(openListeners({ config, clock: systemClock, log })).rejects.toThrow('This node does not have the address 203.0.113.7.')
  })

  test('a network this node has no address in', async () => {
    const config = { ...agentConfig('/tmp/x'), network: { listen: { host: '127.0.0.1', port: 0 }, data: '203.0.113.0/24', sync: '', plainHttp: false } }
    await expect(openListeners({ config, clock: systemClock, log })).rejects.toThrow(
      'network.data is 203.0.113.0/24, but this node has no address in that network.',
    )
  })
})

describe('networks', () => {
  test('addresses of the data network are served on the same port', async () => {
    // All of 127.0.0.0/8 is this machine, but only 127.0.0.1 is an address of its interface.
    const config = {
      ...agentConfig('/tmp/x'),
      network: { listen: { host: '127.0.0.2', port: 0 }, data: '127.0.0.0/8', sync: '127.0.0.1/32', plainHttp: false },
    }
    await using listeners = await openListeners({ config, clock: systemClock, log })
    listeners.serve(() => new Response('here'))
    expect(listeners.urls).toHaveLength(2)
    expect(listeners.urls.map((url) => new URL(url).hostname)).toEqual(['127.0.0.2', '127.0.0.1'])
    for (const url of listeners.urls) expect(await (await fetch(url)).text()).toBe('here')
  })

  test('are distinguished by address family', () => {
    const own = (address: string, family: 'IPv4' | 'IPv6') => ({ address, family, netmask: '', mac: '', internal: false, cidr: null, scopeid: 0 })
    const interfaces = { eth0: [own('10.20.3.4', 'IPv4'), own('fd00::7', 'IPv6')], eth1: [own('10.21.0.1', 'IPv4')] }
    expect(addressesWithin('10.20.0.0/16', interfaces)).toEqual(['10.20.3.4'])
    expect(addressesWithin('fd00::/8', interfaces)).toEqual(['fd00::7'])
    expect(addressesWithin('192.168.0.0/16', interfaces)).toEqual([])
  })
})

describe('TLS', () => {
  opensslTest('new connections get the new certificate after a reload, and requests in progress finish', async () => {
    await using folder = await createTemporaryFolder()
    await makeCertificate(folder.path, 'one')
    const config = { ...agentConfig(folder.path), tls: { cert: folder.file('cert.pem'), key: folder.file('key.pem') } }
    await using listeners = await openListeners({ config, clock: systemClock, log })
    const url = listeners.urls[0] ?? ''
    const begun = Promise.withResolvers<void>()
    const end = Promise.withResolvers<void>()
    listeners.serve(async () => {
      begun.resolve()
      await end.promise
      return new Response('whole')
    })
    const running = fetch(url, { tls: { rejectUnauthorized: false } })
    await begun.promise
    expect(await subjectOf(url)).toBe('one')
    await makeCertificate(folder.path, 'two')
    await listeners.reloadTls()
    expect(await subjectOf(url)).toBe('two')
    end.resolve()
    expect(await (await running).text()).toBe('whole')
  })

  opensslTest('a key that does not belong to the certificate is refused, and the old pair stays in use', async () => {
    await using folder = await createTemporaryFolder()
    await makeCertificate(folder.path, 'one')
    const config = { ...agentConfig(folder.path), tls: { cert: folder.file('cert.pem'), key: folder.file('key.pem') } }
    await using listeners = await openListeners({ config, clock: systemClock, log })
    await Bun.spawn(['openssl', 'genrsa', '-out', folder.file('key.pem'), '2048'], { stderr: 'ignore' }).exited
    await expect(listeners.reloadTls()).rejects.toThrow('tls.cert and tls.key cannot be used together')
    expect(await subjectOf(listeners.urls[0] ?? '')).toBe('one')
  })
})

async function makeCertificate(folder: string, name: string): Promise<void> {
  const files = ['-keyout', `${folder}/key.pem`, '-out', `${folder}/cert.pem`]
  const child = Bun.spawn(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...files, '-days', '2', '-subj', `/CN=${name}`], { stderr: 'ignore' })
  if ((await child.exited) !== 0) throw new Error('openssl created no certificate')
}

/** Returns the common name of the certificate that an address presents. */
function subjectOf(url: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => {
      const subject = socket.getPeerCertificate().subject?.CN
      socket.destroy()
      resolve(Array.isArray(subject) ? subject[0] : subject)
    })
    socket.on('error', reject)
  })
}
