// Addresses that a sync may connect to, in any notation. The connection uses the address that was checked.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { createPeerFetch, createPeerNetwork, isPeer } from '../../../agent/sync/peer-network.ts'
import { problemCode, ProblemError } from '../../../protocol/problems.ts'
import { resolveName } from '../../../agent/system/network.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

/** Returns `allowed` or the code of the problem. */
async function judge(url: string, peers: string[] = [], addresses: string[] = []): Promise<string> {
  const network = createPeerNetwork(peers, async () => addresses)
  try {
    await network.resolve(new URL(url).hostname)
    return 'allowed'
  } catch (error) {
    if (error instanceof ProblemError) return problemCode(error.problem)
    throw error
  }
}

describe('without a list', () => {
  test.each([
    'http://169.254.169.254/',
    'http://169.254.0.1:8420/',
    'http://2852039166/',
    'http://0xa9.0xfe.0251.254/',
    'http://[::ffff:169.254.169.254]/',
    'http://[::ffff:a9fe:a9fe]/',
    'http://[::a9fe:a9fe]/',
    'http://[64:ff9b::a9fe:a9fe]/',
    'http://[64:ff9b:1::1]/',
    'http://[2002:a9fe:a9fe::1]/',
    'http://[2001::1]/',
    'http://[fe80::1]/',
    'http://[febf::1]/',
    'http://[fd00:ec2::254]/',
    'http://[fd00:0ec2:0:0:0:0:0:254]/',
    'http://[fd20:ce::254]/',
    'http://100.100.100.200/',
    'http://168.63.129.16/',
    'http://192.0.0.192/',
    'http://0.0.0.0:8420/',
    'http://0/',
    'http://[::]:8420/',
    'http://[::ffff:0.0.0.0]/',
    'http://224.0.0.1/',
    'http://[ff02::1]/',
    'http://255.255.255.255/',
    'http://240.0.0.1/',
  ])('%s is blocked, listed or not', async (url) => {
    expect(await judge(url)).toBe('peer-not-allowed')
    expect(await judge(url, ['0.0.0.0/0', '::/0', new URL(url).hostname.replaceAll(/[[\]]/g, '')])).toBe('peer-not-allowed')
    const address = new URL(url).hostname.replaceAll(/[[\]]/g, '')
    expect(await judge('http://harmless.example/', ['harmless.example'], [address])).toBe('peer-not-allowed')
  })

  test.each([
    'http://127.0.0.1:8420/',
    'http://[::1]:8420/',
    'http://10.1.2.3/',
    'http://192.168.0.9/',
    'http://172.16.0.1/',
    'http://[fd12:3456::1]/',
    'http://203.0.113.7/',
    'http://[2a00:1450::1]/',
    'http://[64:ff9b::cb00:7107]/',
  ])('%s is allowed', async (url) => {
    expect(await judge(url)).toBe('allowed')
  })
})

describe('with a list', () => {
  const peers = ['10.20.0.0/16', '2001:db8:5::/48', '192.0.2.7', 'Hub.Example']

  test.each([
    ['http://10.20.255.1/', [], 'allowed'],
    ['http://[::ffff:10.20.0.1]/', [], 'allowed'],
    ['http://10.21.0.1/', [], 'peer-not-allowed'],
    ['http://[2001:db8:5::9]/', [], 'allowed'],
    ['http://[2001:db8:6::9]/', [], 'peer-not-allowed'],
    ['http://192.0.2.7/', [], 'allowed'],
    ['http://192.0.2.8/', [], 'peer-not-allowed'],
    ['http://127.0.0.1/', [], 'peer-not-allowed'],
    ['http://hub.example./', ['198.51.100.1'], 'allowed'],
    ['http://HUB.example/', ['198.51.100.1'], 'allowed'],
    ['http://nothub.example/', ['198.51.100.1'], 'peer-not-allowed'],
    ['http://hub.example.evil/', ['198.51.100.1'], 'peer-not-allowed'],
    ['http://other.example/', ['10.20.3.4'], 'allowed'],
  ] as const)('%s with the addresses %p is %s', async (url, addresses, outcome) => {
    expect(await judge(url, peers, [...addresses])).toBe(outcome)
  })

  test('returns only allowed addresses', async () => {
    const network = createPeerNetwork([], async () => ['169.254.1.1', '10.0.0.1', '::1'])
    expect(await network.resolve('two.example')).toEqual(['10.0.0.1', '::1'])
  })

  test('accepts networks, addresses and names as entries', () => {
    for (const good of ['10.0.0.0/8', '10.0.0.1', '::/0', 'fd00::1', 'hub', 'hub.example', 'a-b.c.']) expect(isPeer(good)).toBe(true)
    for (const bad of ['', '10.0.0.0/33', '::/129', '10.0.0.0/8/8', '1.2.3', 'http://hub', 'hub:8420', '*', 'a b', '-x', '[::1]', 'ü.example'])
      expect(isPeer(bad)).toBe(false)
  })
})

test('every notation of a link-local IPv4 address is blocked', async () => {
  const pair = (a: number, b: number): string => (a * 256 + b).toString(16)
  await fc.assert(
    fc.asyncProperty(fc.nat(255), fc.nat(255), fc.nat(5), async (c, d, form) => {
      const plain = `169.254.${c}.${d}`
      const hex = `${pair(169, 254)}:${pair(c, d)}`
      const spellings = [plain, String(((169 * 256 + 254) * 256 + c) * 256 + d), `[::ffff:${plain}]`, `[64:ff9b::${hex}]`, `[2002:${hex}::5]`, `[::${hex}]`]
      expect(await judge(`http://${spellings[form]}:8420/`)).toBe('peer-not-allowed')
    }),
  )
})

describe('the connection', () => {
  test('uses the checked address with the name in Host, and does not follow redirects', async () => {
    const hosts: (string | null)[] = []
    await using server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch(request) {
        hosts.push(request.headers.get('host'))
        return new Response(null, { status: 302, headers: { location: 'http://169.254.169.254/' } })
      },
    })
    const reach = createPeerFetch(createPeerNetwork([], async () => ['127.0.0.1']))
    const response = await reach(`http://store.example:${server.port}/v1/store`, { redirect: 'follow' })
    expect(response.status).toBe(302)
    expect(hosts).toEqual([`store.example:${server.port}`])
  })

  test('is refused once an allowed name resolves to a blocked address', async () => {
    await using server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response('ok') })
    const answers = ['127.0.0.1', '169.254.169.254']
    const reach = createPeerFetch(createPeerNetwork([], async () => [answers.shift() ?? '']))
    const url = `http://rebinding.example:${server.port}/`
    expect(await (await reach(url, {})).text()).toBe('ok')
    await expect(reach(url, {})).rejects.toThrow('This store does not connect to rebinding.example: it is a link-local')
  })

  test('tries the next address if one does not respond', async () => {
    await using server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response('ok') })
    const reach = createPeerFetch(createPeerNetwork([], async () => ['::1', '127.0.0.1']))
    expect(await (await reach(`http://two.example:${server.port}/`, {})).text()).toBe('ok')
  })

  test('verifies the certificate of the name', async () => {
    await using folder = await createTemporaryFolder()
    const [keyFile, certFile] = [folder.file('key.pem'), folder.file('cert.pem')]
    const subject = ['-subj', '/CN=store.example', '-addext', 'subjectAltName=DNS:store.example']
    const made = Bun.spawnSync(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', keyFile, '-out', certFile, ...subject])
    expect(made.exitCode).toBe(0)
    const [key, cert] = await Promise.all([Bun.file(keyFile).text(), Bun.file(certFile).text()])
    await using server = Bun.serve({ port: 0, hostname: '127.0.0.1', tls: { key, cert }, fetch: () => new Response('ok') })
    const trusting = (url: string, init: BunFetchRequestInit): Promise<Response> =>
      fetch(url, { ...init, tls: { ...(typeof init.tls === 'object' ? init.tls : {}), ca: cert } })
    const reach = createPeerFetch(
      createPeerNetwork([], async () => ['127.0.0.1']),
      trusting,
    )
    expect(await (await reach(`https://store.example:${server.port}/`, {})).text()).toBe('ok')
    await expect(reach(`https://other.example:${server.port}/`, {})).rejects.toThrow('ERR_TLS_CERT_ALTNAME_INVALID')
  })

  test('a name without an address is reported as such', async () => {
    await expect(resolveName('no-such-name.invalid')).rejects.toThrow('the name no-such-name.invalid cannot be resolved')
  })
})
