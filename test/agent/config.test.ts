// Configuration: the defaults of the design, every way of writing it wrong, and what each wrong one is told.

import { describe, expect, test } from 'bun:test'
import { chmod, mkdir, symlink } from 'node:fs/promises'
import fc from 'fast-check'
import { loadConfig, parseConfig } from '../../agent/config.ts'
import type { Config } from '../../agent/config.ts'
import type { Environment } from '../../agent/config-process.ts'
import { parseListen } from '../../agent/config-schema.ts'
import { judgeMountPath } from '../../agent/system/mount-guard.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'

function accepted(text: string, environment: Environment = {}): Config {
  const outcome = parseConfig(text, 'edge.toml', environment)
  if (outcome.kind === 'refused') throw new Error(outcome.complaints.join('\n'))
  return outcome.config
}

function complaints(text: string, environment: Environment = {}): readonly string[] {
  const outcome = parseConfig(text, 'edge.toml', environment)
  return outcome.kind === 'refused' ? outcome.complaints : []
}

describe('defaults', () => {
  test('are those of the design', () => {
    expect(accepted('')).toEqual({
      store: {
        name: 'edge-a',
        description: '',
        mount: '/srv/slipway',
        zone: 'zone-1',
        scope: 'zone',
        reservedBytes: 1_000_000_000,
        state: '/var/lib/slipway/edge-a',
      },
      network: { listen: { host: '127.0.0.1', port: 8420 }, data: '', sync: '', plainHttp: false },
      transfer: { uploadConcurrency: 1, downloadConcurrency: 1 },
      images: {
        retrieveExisting: false,
        deletion: 'delayed',
        retentionMs: 259_200_000,
        maxPerOwner: 0,
        maxBytesPerOwner: 0,
        pricePerGbMonth: '',
        enabled: true,
        installationRole: 'admin',
        kinds: [],
      },
      uploads: { expiryMs: 86_400_000, lengthMax: 16_000_000_000_000, origins: [] },
      sync: { peers: [], bytesPerSecond: 0, hours: [] },
      origins: [],
      imports: { roots: [], allow: [], inboxSettleMs: 10_000 },
      schedules: { cleanup: '17 3 * * *', scrub: '41 1 * * 0', expire: '*/10 * * * *', timezone: 'UTC' },
      tls: undefined,
      process: { adminToken: undefined, logLevel: 'info', notifySocket: undefined, watchdogMs: undefined, crashPoint: undefined },
    })
  })

  test('the state folder follows the name', () => {
    expect(accepted('[store]\nname = "berlin-2"').store.state).toBe('/var/lib/slipway/berlin-2')
  })
})

describe('origins', () => {
  test('are what browsers send, or any', () => {
    const origins = ['https://console.example', 'http://127.0.0.1:8080', '*']
    expect(accepted(`[uploads]\norigins = ${JSON.stringify(origins)}`).uploads.origins).toEqual(origins)
    for (const wrong of ['console.example', 'https://console.example/', 'ftp://console.example', 'https://Console.example', 'null', '']) {
      expect(complaints(`[uploads]\norigins = ["${wrong}"]`)).toEqual([expect.stringMatching(/uploads\.origins is not an origin/)])
    }
  })
})

describe('stores to heal from', () => {
  const HUB = '[[origins]]\nname = "hub"\nurl = "https://hub.example:8420"\n'

  test('have a name, an address and a token, or a file with one', async () => {
    await using folder = await createTemporaryFolder()
    await Bun.write(folder.file('token'), 'secret-of-a-file\n')
    const text = `${HUB}token = "secret-in-the-file"\n[[origins]]\nname = "far"\nurl = "http://far.example"\ntoken-file = "${folder.file('token')}"\n`
    expect(accepted(text).origins).toEqual([
      { name: 'hub', url: 'https://hub.example:8420', token: 'secret-in-the-file' },
      { name: 'far', url: 'http://far.example', token: 'secret-of-a-file' },
    ])
  })

  test('of the environment are numbered and replace those of the file', () => {
    const origins = accepted(`${HUB}token = "x"`, {
      SLIPWAY_ORIGINS_10_NAME: 'last',
      SLIPWAY_ORIGINS_10_URL: 'http://last.example',
      SLIPWAY_ORIGINS_10_TOKEN: 'y',
      SLIPWAY_ORIGINS_2_NAME: 'first',
      SLIPWAY_ORIGINS_2_URL: 'http://first.example',
      SLIPWAY_ORIGINS_2_TOKEN: 'z',
    }).origins
    expect(origins.map(({ name, token }) => [name, token])).toEqual([
      ['first', 'z'],
      ['last', 'y'],
    ])
  })

  test.each([
    ['[origins]\nname = "hub"', 'edge.toml: "origins" must be written as [[origins]]'],
    ['[[origin]]\nname = "hub"', 'edge.toml: the section [[origin]] is not known; did you mean [[origins]]?'],
    [`${HUB}token = "secret-1"\ntokn = "secret-2"`, 'edge.toml: origins.tokn is not a known key; did you mean origins.token?'],
    [HUB, 'edge.toml: origins.token of origin 1 and token-file: set exactly one of them'],
    [`${HUB}token = "secret-1"\ntoken-file = "/x"`, 'edge.toml: origins.token of origin 1 and token-file: set exactly one of them'],
    ['[[origins]]\nurl = "https://hub.example"\ntoken = "secret-1"', 'edge.toml: origins.name of origin 1 is missing'],
    [
      '[[origins]]\nname = "hub"\ntoken = "secret-1"\nurl = "https://user:secret-2@hub.example"',
      'origins.url of origin 1 must be the plain address of an agent',
    ],
    ['[[origins]]\nname = "hub"\ntoken = "secret-1"\nurl = "ftp://hub.example"', 'origins.url of origin 1 must be an http or https address'],
    [`${HUB}token = "secret-1 x"`, 'origins.token of origin 1 must be 1 to 512 printable'],
    [`${HUB}token-file = "token"`, 'origins.token-file of origin 1 must be an absolute path'],
    [`${HUB}token-file = "/nowhere/token"`, 'origins.token-file of origin 1 "/nowhere/token" cannot be read: ENOENT'],
    [`${HUB}token-file = "/dev/null"`, 'origins.token-file of origin 1 "/dev/null" does not hold a token'],
    [`${HUB}token = "secret-1"\n${HUB}token = "secret-2"`, 'origins.name of origin 2 is the name of another origin'],
    [`[[origins]]\nname = "a"\nurl = "http://a.example"\ntoken = "secret-1"\n`.repeat(17), 'there are 17 origins; a store can have at most 16'],
  ])('%j is refused without the token', (text, sentence) => {
    const told = complaints(text)
    expect(told).toHaveLength(1)
    expect(told[0]).toContain(sentence)
    expect(told.join()).not.toContain('secret')
  })

  test('wrong variables are refused by their names', () => {
    expect(complaints('', { SLIPWAY_ORIGINS_1_NAMES: 'hub' })).toEqual([
      'The environment variable SLIPWAY_ORIGINS_1_NAMES is not a known key; did you mean SLIPWAY_ORIGINS_1_NAME?',
    ])
    expect(complaints('', { SLIPWAY_ORIGINS_NAME: 'hub' })[0]).toContain('origins are numbered, as in SLIPWAY_ORIGINS_1_NAME')
    expect(complaints('', { SLIPWAY_ORIGINS_1_NAME: 'hub', SLIPWAY_ORIGINS_1_TOKEN: 'secret' })).toEqual([
      'SLIPWAY_ORIGINS_1_URL is missing. Correct it and start again.',
    ])
  })
})

describe('environment', () => {
  test('has windows with semicolons between them, because cron expressions have commas', () => {
    expect(accepted('[sync]\nhours = ["1 1 * * * for 1h"]', { SLIPWAY_SYNC_HOURS: '0,30 22 * * 1,2 for 20m; 0 0 * * 6 for 2d;' }).sync.hours).toEqual([
      { cron: '0,30 22 * * 1,2', minutes: 20 },
      { cron: '0 0 * * 6', minutes: 2880 },
    ])
    expect(accepted('[sync]\nhours = ["0 22 * * 1,2 for 8h"]').sync.hours).toEqual([{ cron: '0 22 * * 1,2', minutes: 480 }])
    expect(accepted('[sync]\nhours = ["0 22 * * * for 8h"]', { SLIPWAY_SYNC_HOURS: '' }).sync.hours).toEqual([])
    expect(complaints('', { SLIPWAY_SYNC_HOURS: '0 22 * * 1,2' })).toEqual([
      'SLIPWAY_SYNC_HOURS is wrong: "0 22 * * 1,2" is not a window; write it like "0 22 * * * for 8h". Correct it and start again.',
    ])
    expect(complaints('', { SLIPWAY_SYNC_HOURS: '0 22 * * * for 8h, 0 4 * * * for 1h' })).toEqual([
      'SLIPWAY_SYNC_HOURS is wrong: "0 22 * * * for 8h, 0 4 * * * for 1h" is not a window; write it like "0 22 * * * for 8h"; in an environment variable, semicolons separate windows. Correct it and start again.',
    ])
    const many = Array.from({ length: 17 }, (_, i) => `${i} 22 * * * for 1h`).join(';')
    expect(complaints('', { SLIPWAY_SYNC_HOURS: many })).toHaveLength(1)
  })

  test('goes above the file, with underscores for dashes and commas between the items of a list', () => {
    const config = accepted('[transfer]\nupload-concurrency = 2', {
      SLIPWAY_TRANSFER_UPLOAD_CONCURRENCY: '4',
      SLIPWAY_IMAGES_ENABLED: 'false',
      SLIPWAY_IMPORTS_ALLOW: 'a.example, 10.0.0.0/8',
      SLIPWAY_STORE_RESERVED: '2 GiB',
      SLIPWAY_SYNC_PEERS: '10.20.0.0/16, hub.example,fd00::1',
    })
    expect(config.sync.peers).toEqual(['10.20.0.0/16', 'hub.example', 'fd00::1'])
    expect(config.transfer.uploadConcurrency).toBe(4)
    expect(config.images.enabled).toBe(false)
    expect(config.imports.allow).toEqual(['a.example', '10.0.0.0/8'])
    expect(config.store.reservedBytes).toBe(2 * 1024 ** 3)
  })

  test('is refused by its own name', () => {
    expect(complaints('', { SLIPWAY_TRANSFER_UPLOAD_CONCURRENCY: '17' })).toEqual([
      'SLIPWAY_TRANSFER_UPLOAD_CONCURRENCY must be a whole number from 1 to 16. Correct it and start again.',
    ])
    expect(complaints('', { SLIPWAY_STORE_MUONT: '/x' })[0]).toContain('did you mean SLIPWAY_STORE_MOUNT?')
  })

  test('leaves other variables alone', () => {
    expect(complaints('', { SLIPWAY_HOME: '/x', SLIPWAY_BOT_LISTEN: '127.0.0.1:1', PATH: '/bin' })).toEqual([])
  })

  test('the watchdog counts only for the process it is meant for', () => {
    expect(accepted('', { WATCHDOG_USEC: '30000000' }).process.watchdogMs).toBe(30_000)
    expect(accepted('', { WATCHDOG_USEC: '30000000', WATCHDOG_PID: String(process.pid) }).process.watchdogMs).toBe(30_000)
    expect(accepted('', { WATCHDOG_USEC: '30000000', WATCHDOG_PID: '1' }).process.watchdogMs).toBeUndefined()
  })

  test('the admin token comes from the credential before the variable', async () => {
    await using folder = await createTemporaryFolder()
    expect(accepted('', { SLIPWAY_ADMIN_TOKEN: 'from-the-variable' }).process.adminToken).toBe('from-the-variable')
    await Bun.write(folder.file('admin-token'), 'from-the-credential\n')
    expect(accepted('', { SLIPWAY_ADMIN_TOKEN: 'x', CREDENTIALS_DIRECTORY: folder.path }).process.adminToken).toBe('from-the-credential')
  })
})

describe('refusals', () => {
  test.each([
    ['[store]\nmuont = "/srv/x"', 'edge.toml: store.muont is not a known key; did you mean store.mount?'],
    ['[stor]\nname = "a"', 'edge.toml: the section [stor] is not known; did you mean [store]?'],
    ['mount = "/srv/x"', 'edge.toml: "mount" is outside of a section. It belongs below [store].'],
    ['[store]\nname = \n', 'edge.toml, line 2, column '],
    ['[store]\nmount = "srv"', 'store.mount must be an absolute path'],
    ['[store]\nreserved = "lots"', '"lots" is not a size; write it like "1 GB"'],
    ['[sync]\npeers = ["http://hub.example:8420"]', 'edge.toml: sync.peers must be a list of networks, addresses and host names'],
    ['[sync]\nbytes-per-second = "1 kB"', 'edge.toml: sync.bytes-per-second must be "0" for no limit, or from "64 KiB" to "1 TB"'],
    ['[sync]\nhours = ["at night"]', 'edge.toml: sync.hours is wrong: "at night" is not a window; write it like "0 22 * * * for 8h"'],
    ['[sync]\nhours = ["0 99 * * * for 8h"]', 'is not a window; write it like "0 22 * * * for 8h"'],
    ['[sync]\npeers = ["10.0.0.0/33"]', 'edge.toml: sync.peers must be a list of networks, addresses and host names'],
    ['[uploads]\nexpiry = "soon"', '"soon" is not a duration'],
    ['[network]\nlisten = "8420"', '"8420" is not an address'],
    ['[network]\ndata = "10.0.0.0/33"', 'network.data is not a network'],
    ['[schedules]\nscrub = "sometimes"', 'schedules.scrub is not a cron expression'],
    ['[schedules]\ntimezone = "Mars/Olympus"', 'schedules.timezone is not a time zone'],
    ['[images]\ndeletion = "never ever"', 'images.deletion is wrong'],
    ['[tls]\ncert = "/etc/x.pem"', 'tls.cert and tls.key belong together'],
    ['[store]\nstate = "/srv/slipway/state"', 'store.state "/srv/slipway/state" is on the mount path'],
    ['[store]\nname = "a/b"', 'store.state must be given'],
  ])('%j', (text, sentence) => {
    const told = complaints(text)
    expect(told).toHaveLength(1)
    expect(told[0]).toContain(sentence)
  })

  test('all that is wrong is told at once', () => {
    expect(complaints('[store]\nreserved = "lots"\nmuont = "/x"\n[network]\nlisten = "x"')).toHaveLength(3)
  })

  test('a file that cannot be read is named', async () => {
    await using folder = await createTemporaryFolder()
    expect(loadConfig(folder.file('none.toml'), {})).toMatchObject({ kind: 'refused', complaints: [expect.stringContaining('cannot be read (ENOENT)')] })
    await Bun.write(folder.file('good.toml'), '[store]\nname = "here"')
    await chmod(folder.file('good.toml'), 0o600)
    expect(loadConfig(folder.file('good.toml'), {})).toMatchObject({ kind: 'config', config: { store: { name: 'here' } } })
  })

  test('no text whatever makes it throw', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => ['config', 'refused'].includes(parseConfig(text, 'x', {}).kind)))
  })
})

describe('mount path', () => {
  test.each([
    '/',
    '//',
    '/dev',
    '/dev/shm/x',
    '/proc',
    '/sys/fs',
    '/bin',
    '/sbin',
    '/usr/bin',
    '/usr/local/store',
    '/etc/x',
    '/boot',
    '/lib',
    '/lib64/x',
    '/run/slipway',
    '/tmp/../etc',
  ])('refuses %s', (path) => {
    expect(judgeMountPath(path).kind).toBe('refused')
  })

  test('refuses a link to a folder of the system, on any part of the way, also a dangling one', async () => {
    await using folder = await createTemporaryFolder()
    await symlink('/usr', folder.file('direct'))
    await symlink('direct', folder.file('twice'))
    await symlink('../../../../../../usr', folder.file('upward'))
    await symlink('/etc/not-there', folder.file('dangling'))
    await symlink('circle', folder.file('circle'))
    for (const path of ['direct', 'direct/bin/x', 'twice', 'upward/share', 'dangling', 'dangling/deeper', 'circle', 'direct/../usr'])
      expect([path, judgeMountPath(`${folder.path}/${path}`).kind]).toEqual([path, 'refused'])
  })

  test('takes any other folder, with its links followed', async () => {
    await using folder = await createTemporaryFolder()
    await mkdir(folder.file('real'))
    await symlink('real', folder.file('link'))
    expect(judgeMountPath(folder.file('link/store'))).toEqual({ kind: 'accepted', path: folder.file('real/store') })
    for (const path of ['/srv/slipway', '/home/lib', '/data/usr', '/devices', '/var/lib/store', '/running'])
      expect(judgeMountPath(path)).toEqual({ kind: 'accepted', path })
  })
})

describe('listen', () => {
  test.each([
    ['127.0.0.1:8420', { host: '127.0.0.1', port: 8420 }],
    ['[::1]:0', { host: '::1', port: 0 }],
    ['store.example:65535', { host: 'store.example', port: 65_535 }],
    ['::1:8420', undefined],
    ['127.0.0.1', undefined],
    ['127.0.0.1:65536', undefined],
    [':8420', undefined],
  ])('%s', (text, address) => {
    expect(parseListen(text)).toEqual(address)
  })
})
