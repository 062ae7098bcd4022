// The catalogue of operating systems, row by row: a wrong number refuses instances that would run, or lets instances start that cannot.

import { expect, test } from 'bun:test'
import { findSystem, OPERATING_SYSTEMS, systemId } from '../../../protocol/images/operating-systems.ts'

/** Family, id, CPUs, memory and disk in MiB. */
const ROWS = `
linux almalinux-8 1 1536 10240
linux almalinux-9 1 1536 10240
linux almalinux-10 1 2048 10240
linux alpine-3 1 128 1024
linux arch-linux 1 512 2048
linux centos-stream-9 1 1536 10240
linux centos-stream-10 1 2048 10240
linux debian-11 1 512 4096
linux debian-12 1 512 4096
linux debian-13 1 512 4096
linux fedora-42 1 2048 15360
linux fedora-43 1 2048 15360
linux opensuse-leap-15 1 1024 10240
linux oracle-linux-9 1 1536 10240
linux rhel-8 1 1536 10240
linux rhel-9 1 1536 10240
linux rhel-10 1 2048 10240
linux rocky-linux-8 1 1536 10240
linux rocky-linux-9 1 1536 10240
linux rocky-linux-10 1 2048 10240
linux sles-15 1 1024 10240
linux ubuntu-20.04 1 1024 5120
linux ubuntu-22.04 1 1024 5120
linux ubuntu-24.04 1 1024 5120
windows windows-10 1 2048 32768
windows windows-11 2 4096 65536
windows windows-server-2016 1 2048 32768
windows windows-server-2019 1 2048 32768
windows windows-server-2022 1 2048 32768
windows windows-server-2025 1 2048 32768
bsd freebsd-13 1 512 2048
bsd freebsd-14 1 512 2048
bsd openbsd-7 1 512 2048
`

test('every row has its family and its needs', () => {
  const rows = OPERATING_SYSTEMS.map(({ family, id, requirements: { cpus, memory, disk } }) =>
    [family, id, cpus, memory / 1_048_576, disk / 1_048_576].join(' '),
  )
  expect(rows).toEqual(ROWS.trim().split('\n'))
})

test('a system is found by its id or its name, and others have none', () => {
  expect(findSystem('  Windows   Server 2022 ')?.id).toBe('windows-server-2022')
  expect(findSystem('debian-12')?.name).toBe('Debian 12')
  expect(findSystem('debian')).toBeUndefined()
  expect(systemId('Debian 12')).toBe('debian-12')
  expect(systemId('Plan 9')).toBe('Plan 9')
})
