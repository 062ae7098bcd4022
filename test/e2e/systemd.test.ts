// The compiled agent under a real systemd, with its unit as it is shipped: readiness, sandbox, credentials, watchdog,
// reload, drain, restart.

import { afterAll, beforeAll, describe, expect } from 'bun:test'
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { hasTool, requireThat } from '../support/require.ts'
import { bootMachine } from '../support/machine/systemd-machine.ts'
import type { Machine } from '../support/machine/systemd-machine.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../support/machine/temporary-folder.ts'
import { until } from '../support/until.ts'

const UNIT = 'slipway-agent@edge-a'
const TOKEN = 'the-credential-of-the-admin'
const BASE = 'http://127.0.0.1:8420'
/** Health of a store that works; a busy machine makes it degraded. */
const SERVES = /"state":"(?:running|degraded)"/

const tools = [hasTool('systemd-nspawn', 'systemd-container'), hasTool('debootstrap', 'debootstrap'), hasTool('nsenter', 'util-linux')]
const isPossible =
  process.getuid?.() === 0 &&
  tools.every(Boolean) &&
  Bun.spawnSync(['unshare', '--mount', '--pid', '--cgroup', '--net', '--fork', 'true'], { stderr: 'ignore' }).exitCode === 0
const machineTest = requireThat(isPossible, 'a container with systemd needs root, namespaces, systemd-container and debootstrap')

let folder: TemporaryFolder
let machine: Machine | undefined

beforeAll(async () => {
  if (!isPossible) return
  folder = await createTemporaryFolder()
  machine = await bootMachine(folder.path)
  await install(machine)
}, 240_000)

afterAll(async () => {
  if (!isPossible) return
  await machine?.[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
}, 60_000)

/** What docs/operations.md says to do, inside the machine. */
async function install({ root, must }: Machine): Promise<void> {
  const build = Bun.spawn([process.execPath, 'scripts/build.ts'], { stdin: 'ignore', stdout: 'ignore', stderr: 'inherit' })
  if ((await build.exited) !== 0) throw new Error('the programs could not be built')
  for (const path of ['etc/systemd/system', 'etc/sysusers.d', 'etc/tmpfiles.d', 'etc/credstore']) await mkdir(join(root, path), { recursive: true })
  await copyFile('dist/slipway-agent', join(root, 'usr/bin/slipway-agent'))
  await copyFile('systemd/slipway-agent@.service', join(root, 'etc/systemd/system/slipway-agent@.service'))
  await copyFile('systemd/sysusers.d/slipway.conf', join(root, 'etc/sysusers.d/slipway.conf'))
  await copyFile('systemd/tmpfiles.d/slipway.conf', join(root, 'etc/tmpfiles.d/slipway.conf'))
  await must('systemd-sysusers')
  await must('systemd-tmpfiles', '--create')
  await copyFile('systemd/examples/edge-a.toml', join(root, 'etc/slipway/edge-a.toml'))
  await Bun.write(join(root, 'etc/credstore/slipway-agent.edge-a.admin-token'), `${TOKEN}\n`)
  await must('chown', 'root:slipway', '/etc/slipway/edge-a.toml')
  await must('install', '-d', '-o', 'slipway', '-g', 'slipway', '/srv/slipway/edge-a')
  await must('systemctl', 'daemon-reload')
}

/** The machine, once it has booted. */
const booted = (): Machine => {
  if (!machine) throw new Error('the machine did not boot')
  return machine
}
const property = async (name: string): Promise<string> => (await booted().must('systemctl', 'show', '--value', '-p', name, UNIT)).trim()
const ask = (...more: string[]) => booted().run('curl', '-s', '-m', '20', '-H', `Authorization: Bearer ${TOKEN}`, ...more)
const journal = () => booted().must('journalctl', '-u', UNIT, '--no-pager', '-o', 'cat')

describe('the unit', () => {
  machineTest('is ready when the agent says so, with the token of its credential', async () => {
    await booted().must('systemctl', 'start', UNIT)
    expect(await property('ActiveState')).toBe('active')
    expect(await property('StatusText')).toBe(`Serving store edge-a on ${BASE}`)
    const store = JSON.parse((await ask(`${BASE}/v1/store`)).stdout)
    expect(store).toMatchObject({ name: 'edge-a', mount: '/srv/slipway/edge-a' })
    expect((await ask(`${BASE}/v1/health`)).stdout).toMatch(SERVES)
  })

  machineTest('runs as its own user in its sandbox, and takes and gives an image there', async () => {
    expect(await property('User')).toBe('slipway')
    const pid = await property('MainPID')
    expect((await booted().must('stat', '-c', '%U', `/proc/${pid}`)).trim()).toBe('slipway')
    await booted().must('dd', 'if=/dev/urandom', 'of=/root/image.raw', 'bs=1M', 'count=24', 'status=none')
    const created = await ask(
      '-D',
      '-',
      '-H',
      'Tus-Resumable: 1.0.0',
      '-H',
      'Upload-Length: 25165824',
      '-H',
      'Content-Type: application/offset+octet-stream',
      '--data-binary',
      '@/root/image.raw',
      `${BASE}/v1/uploads`,
    )
    const image = /^content-location: (\S+)/im.exec(created.stdout)?.[1]
    expect(image).toStartWith('/v1/images/img_')
    await ask('-o', '/root/back.raw', `${BASE}${image}/content`)
    await booted().must('cmp', '/root/image.raw', '/root/back.raw')
  })

  machineTest('is bounded in memory and threads, far from both, and reaches private networks only', async () => {
    expect(await property('MemoryMax')).toBe(String(4 * 2 ** 30))
    expect(await property('TasksMax')).toBe('512')
    // A container may lack the controllers of memory and tasks, so the process itself is asked.
    const status = await booted().must('cat', `/proc/${await property('MainPID')}/status`)
    expect(Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1])).toBeLessThan(2 * 2 ** 20)
    expect(Number(/^Threads:\s+(\d+)/m.exec(status)?.[1])).toBeLessThan(256)
    expect((await property('IPAddressDeny')).split(' ').toSorted()).toEqual(['0.0.0.0/0', '::/0'])
    const allowed = await property('IPAddressAllow')
    for (const network of ['127.0.0.0/8', '::1/128', '10.0.0.0/8', 'fc00::/7']) expect(allowed).toContain(network)
    expect(allowed).not.toContain('169.254')
  })

  machineTest('keeps the watchdog content', async () => {
    const last = async (): Promise<number> => Number(await property('WatchdogTimestampMonotonic'))
    const first = await last()
    expect(await property('WatchdogUSec')).toBe('30s')
    await until('the next sign of life', async () => (await last()) > first)
  })

  machineTest('is ended and started again when it hangs', async () => {
    await booted().must('mkdir', '-p', `/run/systemd/system/${UNIT}.service.d`)
    await booted().must('sh', '-c', `printf '[Service]\\nWatchdogSec=2\\n' > /run/systemd/system/${UNIT}.service.d/watchdog.conf`)
    await booted().must('systemctl', 'daemon-reload')
    await booted().must('systemctl', 'restart', UNIT)
    const pid = await property('MainPID')
    await booted().must('sh', '-c', `kill -STOP ${pid}`)
    await until('another process serves', async () => {
      const next = await property('MainPID')
      return next !== pid && next !== '0' && (await property('ActiveState')) === 'active'
    })
    expect((await ask(`${BASE}/v1/health`)).stdout).toContain('"state"')
    await booted().must('rm', '-r', `/run/systemd/system/${UNIT}.service.d`)
    await booted().must('systemctl', 'daemon-reload')
    await booted().must('systemctl', 'restart', UNIT)
  })

  machineTest('reloads and stays ready', async () => {
    const pid = await property('MainPID')
    await booted().must('systemctl', 'reload', UNIT)
    expect(await property('MainPID')).toBe(pid)
    expect(await property('ActiveState')).toBe('active')
  })

  machineTest('is back at once after SIGKILL', async () => {
    const pid = await property('MainPID')
    await booted().must('sh', '-c', `kill -KILL ${pid}`)
    await until('the agent serves again', async () => SERVES.test((await ask(`${BASE}/v1/health`)).stdout))
    expect(await property('MainPID')).not.toBe(pid)
  })

  machineTest('a stop in the middle of a body drains: what came is held, and the exit is clean', async () => {
    const created = await ask('-D', '-', '-X', 'POST', '-H', 'Tus-Resumable: 1.0.0', '-H', 'Upload-Length: 25165824', `${BASE}/v1/uploads`)
    const upload = /^location: (\S+)/im.exec(created.stdout)?.[1] ?? ''
    const url = upload.startsWith('http') ? upload : `${BASE}${upload}`
    const headers = ['-H', 'Tus-Resumable: 1.0.0', '-H', 'Upload-Offset: 0', '-H', 'Content-Type: application/offset+octet-stream']
    const sending = ask('-X', 'PATCH', '--limit-rate', '4M', ...headers, '--data-binary', '@/root/image.raw', url)
    await until('some of it came', async () => /slipway_content_received_bytes_total [1-9]/.test((await ask(`${BASE}/metrics`)).stdout))
    const startedMs = performance.now()
    await booted().must('systemctl', 'stop', UNIT)
    expect(performance.now() - startedMs).toBeLessThan(10_000)
    await sending
    expect(await property('Result')).toBe('success')
    expect(await property('ExecMainStatus')).toBe('0')
    expect(await journal()).toContain('"msg":"stopped"')

    await booted().must('systemctl', 'start', UNIT)
    const head = (await ask('-I', '-H', 'Tus-Resumable: 1.0.0', url)).stdout
    const offset = Number(/^upload-offset: (\d+)/im.exec(head)?.[1])
    expect(offset).toBeGreaterThan(0)
    await booted().must('sh', '-c', `tail -c +${offset + 1} /root/image.raw > /root/rest.raw`)
    const rest = await ask(
      '-D',
      '-',
      '-X',
      'PATCH',
      '-H',
      'Tus-Resumable: 1.0.0',
      '-H',
      `Upload-Offset: ${offset}`,
      '-H',
      'Content-Type: application/offset+octet-stream',
      '--data-binary',
      '@/root/rest.raw',
      url,
    )
    const image = /^content-location: (\S+)/im.exec(rest.stdout)?.[1]
    await ask('-o', '/root/again.raw', `${BASE}${image}/content`)
    await booted().must('cmp', '/root/image.raw', '/root/again.raw')
  })

  machineTest('a refused start is told once and not tried again', async () => {
    await booted().must('systemctl', 'stop', UNIT)
    await booted().must('sed', '-i', 's|^mount = .*|mount = "/usr/share"|', '/etc/slipway/edge-a.toml')
    expect((await booted().run('systemctl', 'start', UNIT)).code).not.toBe(0)
    expect(await property('ActiveState')).toBe('failed')
    expect(await property('ExecMainStatus')).toBe('2')
    expect(await property('NRestarts')).toBe('0')
    expect(await journal()).toContain('store.mount cannot be used: "/usr/share" is a folder of the system.')
  })
})
