// The shipped unit of the agent under a real systemd: readiness, sandbox, credentials, watchdog, reload, drain, restart.

import { describe, expect } from 'bun:test'
import { until } from '../../../support/until.ts'
import { BASE, SERVES, UNIT } from './node.ts'
import type { MachineTest, Node } from './node.ts'

/** Tests the unit. Afterwards the agent is stopped and its configuration unchanged. */
export function testUnit(test: MachineTest, node: Node): void {
  const { ask, property, journal } = node

  describe('the unit', () => {
    test('is ready when the agent reports it, with the token of its credential', async () => {
      await node.machine().must('systemctl', 'start', UNIT)
      expect(await property('ActiveState')).toBe('active')
      expect(await property('StatusText')).toBe(`Serving store edge-a on ${BASE}`)
      const store = JSON.parse((await ask(`${BASE}/v1/store`)).stdout)
      expect(store).toMatchObject({ name: 'edge-a', mount: '/srv/slipway/edge-a' })
      expect((await ask(`${BASE}/v1/health`)).stdout).toMatch(SERVES)
    })

    test('runs as its own user in its sandbox, and stores and serves an image there', async () => {
      expect(await property('User')).toBe('slipway')
      const pid = await property('MainPID')
      expect((await node.machine().must('stat', '-c', '%U', `/proc/${pid}`)).trim()).toBe('slipway')
      await node.machine().must('dd', 'if=/dev/urandom', 'of=/root/image.raw', 'bs=1M', 'count=24', 'status=none')
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
      await node.machine().must('cmp', '/root/image.raw', '/root/back.raw')
    })

    test('is limited in memory and threads, stays far below both limits, and reaches private networks only', async () => {
      expect(await property('MemoryMax')).toBe(String(4 * 2 ** 30))
      expect(await property('TasksMax')).toBe('512')
      // A container may lack the controllers of memory and tasks, so the figures come from the process itself.
      const status = await node.machine().must('cat', `/proc/${await property('MainPID')}/status`)
      expect(Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1])).toBeLessThan(2 * 2 ** 20)
      expect(Number(/^Threads:\s+(\d+)/m.exec(status)?.[1])).toBeLessThan(256)
      expect((await property('IPAddressDeny')).split(' ').toSorted()).toEqual(['0.0.0.0/0', '::/0'])
      const allowed = await property('IPAddressAllow')
      for (const network of ['127.0.0.0/8', '::1/128', '10.0.0.0/8', 'fc00::/7']) expect(allowed).toContain(network)
      expect(allowed).not.toContain('169.254')
    })

    test('sends watchdog messages', async () => {
      const last = async (): Promise<number> => Number(await property('WatchdogTimestampMonotonic'))
      const first = await last()
      expect(await property('WatchdogUSec')).toBe('30s')
      await until('the next watchdog message', async () => (await last()) > first)
    })

    test('is killed and restarted when it hangs', async () => {
      await node.machine().must('mkdir', '-p', `/run/systemd/system/${UNIT}.service.d`)
      await node.machine().must('sh', '-c', `printf '[Service]\\nWatchdogSec=2\\n' > /run/systemd/system/${UNIT}.service.d/watchdog.conf`)
      await node.machine().must('systemctl', 'daemon-reload')
      await node.machine().must('systemctl', 'restart', UNIT)
      const pid = await property('MainPID')
      await node.machine().must('sh', '-c', `kill -STOP ${pid}`)
      await until('another process serves', async () => {
        const next = await property('MainPID')
        return next !== pid && next !== '0' && (await property('ActiveState')) === 'active'
      })
      expect((await ask(`${BASE}/v1/health`)).stdout).toContain('"state"')
      await node.machine().must('rm', '-r', `/run/systemd/system/${UNIT}.service.d`)
      await node.machine().must('systemctl', 'daemon-reload')
      await node.machine().must('systemctl', 'restart', UNIT)
    })

    test('reloads and stays ready', async () => {
      const pid = await property('MainPID')
      await node.machine().must('systemctl', 'reload', UNIT)
      expect(await property('MainPID')).toBe(pid)
      expect(await property('ActiveState')).toBe('active')
    })

    test('is restarted after SIGKILL', async () => {
      const pid = await property('MainPID')
      await node.machine().must('sh', '-c', `kill -KILL ${pid}`)
      await until('the agent serves again', async () => SERVES.test((await ask(`${BASE}/v1/health`)).stdout))
      expect(await property('MainPID')).not.toBe(pid)
    })

    test('a stop in the middle of a body drains: received bytes are kept, and the exit is clean', async () => {
      const created = await ask('-D', '-', '-X', 'POST', '-H', 'Tus-Resumable: 1.0.0', '-H', 'Upload-Length: 25165824', `${BASE}/v1/uploads`)
      const upload = /^location: (\S+)/im.exec(created.stdout)?.[1] ?? ''
      const url = upload.startsWith('http') ? upload : `${BASE}${upload}`
      const headers = ['-H', 'Tus-Resumable: 1.0.0', '-H', 'Upload-Offset: 0', '-H', 'Content-Type: application/offset+octet-stream']
      const sending = ask('-X', 'PATCH', '--limit-rate', '4M', ...headers, '--data-binary', '@/root/image.raw', url)
      await until('bytes have arrived', async () => /slipway_content_received_bytes_total [1-9]/.test((await ask(`${BASE}/metrics`)).stdout))
      const startedMs = performance.now()
      await node.machine().must('systemctl', 'stop', UNIT)
      expect(performance.now() - startedMs).toBeLessThan(30_000)
      await sending
      expect(await property('Result')).toBe('success')
      expect(await property('ExecMainStatus')).toBe('0')
      expect(await journal()).toContain('"msg":"stopped"')

      await node.machine().must('systemctl', 'start', UNIT)
      const head = (await ask('-I', '-H', 'Tus-Resumable: 1.0.0', url)).stdout
      const offset = Number(/^upload-offset: (\d+)/im.exec(head)?.[1])
      expect(offset).toBeGreaterThan(0)
      await node.machine().must('sh', '-c', `tail -c +${offset + 1} /root/image.raw > /root/rest.raw`)
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
      await node.machine().must('cmp', '/root/image.raw', '/root/again.raw')
    })

    test('a refused start is logged once and not retried', async () => {
      await node.machine().must('systemctl', 'stop', UNIT)
      await node.machine().must('sed', '-i', 's|^mount = .*|mount = "/usr/share"|', '/etc/slipway/edge-a.toml')
      expect((await node.machine().run('systemctl', 'start', UNIT)).code).not.toBe(0)
      expect(await property('ActiveState')).toBe('failed')
      expect(await property('ExecMainStatus')).toBe('2')
      expect(await property('NRestarts')).toBe('0')
      expect(await journal()).toContain('store.mount cannot be used: "/usr/share" is a system folder.')
      await node.machine().must('sed', '-i', 's|^mount = .*|mount = "/srv/slipway/edge-a"|', '/etc/slipway/edge-a.toml')
    })
  })
}
