// Which addresses an import may connect to: every form of a private address, names that resolve to one, ports, and the list of allowed servers.

import { describe, expect, test } from 'bun:test'
import { createAddressGuard, isAllowance } from '../../../agent/imports/address-guard.ts'
import { SourceInterrupted } from '../../../agent/imports/source.ts'
import { ProblemError } from '../../../protocol/problems.ts'

const STANDARD = [80, 443]

/** Returns `allowed`, `denied`, or `unresolved` for a URL. */
async function judge(url: string, allow: readonly string[] = [], answers: Readonly<Record<string, readonly string[]>> = {}): Promise<string> {
  const { hostname, port, protocol } = new URL(url)
  const lookup = async (name: string): Promise<readonly string[]> => answers[name] ?? Promise.reject(new Error(`no ${name}`))
  const guard = createAddressGuard({ allow, lookup, ownAddresses: () => ['198.41.0.4'] })
  try {
    await guard.resolve({ host: hostname, port: Number(port || (protocol === 'https:' ? 443 : 80)), standardPorts: STANDARD })
    return 'allowed'
  } catch (error) {
    if (error instanceof SourceInterrupted) return 'unresolved'
    if (error instanceof ProblemError && error.code === 'source-not-allowed') return 'denied'
    throw error
  }
}

describe('without a list', () => {
  test.each(['http://93.184.215.14/', 'https://93.184.215.14/', 'http://[2606:4700::1111]/', 'https://[2a00:1450:4001::200e]/'])(
    '%s is allowed',
    async (url) => {
      expect(await judge(url)).toBe('allowed')
    },
  )

  test.each([
    // Loopback in every spelling that a URL allows.
    'http://127.0.0.1/',
    'http://127.1/',
    'http://0177.0.0.1/',
    'http://2130706433/',
    'http://0x7f.1/',
    'http://127.255.255.254/',
    'http://[::1]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[::ffff:7f00:1]/',
    'http://[::127.0.0.1]/',
    'http://[64:ff9b::127.0.0.1]/',
    'http://[64:ff9b:1::7f00:1]/',
    'http://[2002:7f00:1::]/',
    'http://[2001:0:7f00:1::]/',
    // This network, private, shared, link-local and metadata.
    'http://0.0.0.0/',
    'http://0.1.2.3/',
    'http://10.0.0.1/',
    'http://172.16.0.1/',
    'http://172.31.255.255/',
    'http://192.168.1.1/',
    'http://[::ffff:192.168.1.1]/',
    'http://100.64.0.1/',
    'http://100.100.100.200/',
    'http://169.254.169.254/',
    'http://[::ffff:a9fe:a9fe]/',
    'http://168.63.129.16/',
    'http://192.0.0.1/',
    'http://[fc00::1]/',
    'http://[fd00:ec2::254]/',
    'http://[fe80::1]/',
    'http://[fec0::1]/',
    // Documentation, benchmarks, multicast, broadcast and reserved.
    'http://192.0.2.1/',
    'http://198.51.100.1/',
    'http://203.0.113.1/',
    'http://198.18.0.1/',
    'http://192.88.99.1/',
    'http://224.0.0.1/',
    'http://239.255.255.250/',
    'http://240.0.0.1/',
    'http://255.255.255.255/',
    'http://[2001:db8::1]/',
    'http://[3fff::1]/',
    'http://[100::1]/',
    'http://[5f00::1]/',
    'http://[ff02::1]/',
    'http://[::]/',
    'http://[4000::1]/',
    // This node itself.
    'http://198.41.0.4/',
  ])('%s is denied', async (url) => {
    expect(await judge(url)).toBe('denied')
  })

  test.each(['http://93.184.215.14:8080/', 'https://93.184.215.14:22/', 'http://93.184.215.14:6379/'])('the port of %s is denied', async (url) => {
    expect(await judge(url)).toBe('denied')
  })

  test('the other web port is allowed', async () => {
    expect(await judge('http://93.184.215.14:443/')).toBe('allowed')
  })

  test('every answer for a name must be allowed', async () => {
    const answers = { 'good.test': ['93.184.215.14', '2606:4700::1111'], 'mixed.test': ['93.184.215.14', '10.0.0.1'], 'mapped.test': ['::ffff:10.0.0.1'] }
    expect(await judge('http://good.test/', [], answers)).toBe('allowed')
    expect(await judge('http://mixed.test/', [], answers)).toBe('denied')
    expect(await judge('http://mapped.test/', [], answers)).toBe('denied')
    expect(await judge('http://unknown.test/', [], answers)).toBe('unresolved')
    expect(await judge('http://empty.test/', [], { 'empty.test': [] })).toBe('unresolved')
    expect(await judge('http://wrong.test/', [], { 'wrong.test': ['no address'] })).toBe('denied')
  })
})

describe('with a list', () => {
  test.each([
    ['http://10.1.2.3:8080/', ['10.0.0.0/8'], 'allowed'],
    ['http://11.1.2.3:8080/', ['10.0.0.0/8'], 'denied'],
    ['http://[::ffff:10.1.2.3]/', ['10.0.0.0/8'], 'allowed'],
    ['http://127.0.0.1:9000/', ['127.0.0.1:9000'], 'allowed'],
    ['http://127.0.0.1:9001/', ['127.0.0.1:9000'], 'denied'],
    ['http://[::1]:9000/', ['[::1]:9000'], 'allowed'],
    ['http://[fd00::5]/', ['fd00::/8'], 'allowed'],
    ['http://198.41.0.4/', ['198.41.0.4'], 'allowed'],
    ['http://mirror.lan:8080/', ['mirror.lan'], 'allowed'],
    ['http://MIRROR.lan.:8080/', ['mirror.lan'], 'allowed'],
    ['http://mirror.lan:8080/', ['mirror.lan:8080'], 'allowed'],
    ['http://mirror.lan/', ['mirror.lan:8080'], 'denied'],
    ['http://other.lan/', ['mirror.lan'], 'denied'],
    ['http://93.184.215.14/', ['10.0.0.0/8'], 'allowed'],
    // No list opens these.
    ['http://169.254.169.254/', ['169.254.0.0/16'], 'denied'],
    ['http://169.254.169.254/', ['0.0.0.0/0'], 'denied'],
    ['http://0.0.0.0/', ['0.0.0.0/0'], 'denied'],
    ['http://metadata.lan/', ['metadata.lan'], 'denied'],
    ['http://[fe80::1]/', ['::/0'], 'denied'],
  ] as const)('%s with %j is %s', async (url, allow, expected) => {
    const answers = { 'mirror.lan': ['192.168.7.7'], 'mirror.lan.': ['192.168.7.7'], 'other.lan': ['192.168.7.7'], 'metadata.lan': ['169.254.169.254'] }
    expect(await judge(url, allow, answers)).toBe(expected)
  })
})

test('the refusal names the host of the request, and not what it resolves to', async () => {
  const guard = createAddressGuard({ allow: [], lookup: async () => ['10.9.8.7'], ownAddresses: () => [] })
  const refused = await guard.resolve({ host: 'secret.test', port: 80, standardPorts: STANDARD }).catch((error: unknown) => error)
  expect(refused).toBeInstanceOf(ProblemError)
  expect((refused as ProblemError).problem.detail).toBe(
    'This store does not import from secret.test: it is not an address of the public internet, and imports.allow does not list it.',
  )
})

test.each([
  ['10.0.0.0/8', true],
  ['192.0.2.1', true],
  ['192.0.2.1:8080', true],
  ['[2001:db8::1]:443', true],
  ['2001:db8::/32', true],
  ['mirror.example', true],
  ['mirror.example:8080', true],
  ['10.0.0.0/33', false],
  ['mirror.example:0', false],
  ['mirror.example:65536', false],
  ['https://mirror.example', false],
  ['mirror.example/images', false],
  ['-mirror', false],
  ['10.0.0', false],
  ['', false],
] as const)('%j as an entry of the list: %p', (text, expected) => {
  expect(isAllowance(text)).toBe(expected)
})
