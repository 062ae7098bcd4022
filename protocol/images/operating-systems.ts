// The catalogue of operating systems: ids for the member `os` of an image, and the least resources that an instance needs. An image may override
// each of them, and may name a system that is not in the catalogue; then nothing is known of its needs.

import { z } from 'zod'

const MIB = 1024 ** 2
const GIB = 1024 ** 3

export const operatingSystemSchema = z.object({
  /** Value of the member `os` of an image. */
  id: z.string(),
  name: z.string(),
  family: z.enum(['linux', 'windows', 'bsd', 'other']),
  /** Least resources as their makers state them: CPUs, and bytes of memory and of disk. */
  requirements: z.object({ cpus: z.int(), memory: z.int(), disk: z.int() }),
})

export type OperatingSystem = z.infer<typeof operatingSystemSchema>
type Family = OperatingSystem['family']

function system(family: Family, name: string, [cpus, memory, disk]: readonly [number, number, number]): OperatingSystem {
  return { id: normalised(name), name, family, requirements: { cpus, memory, disk } }
}

/** The catalogue, by family and name. */
export const OPERATING_SYSTEMS: readonly OperatingSystem[] = [
  system('linux', 'AlmaLinux 8', [1, 1536 * MIB, 10 * GIB]),
  system('linux', 'AlmaLinux 9', [1, 1536 * MIB, 10 * GIB]),
  system('linux', 'AlmaLinux 10', [1, 2 * GIB, 10 * GIB]),
  system('linux', 'Alpine 3', [1, 128 * MIB, GIB]),
  system('linux', 'Arch Linux', [1, 512 * MIB, 2 * GIB]),
  system('linux', 'CentOS Stream 9', [1, 1536 * MIB, 10 * GIB]),
  system('linux', 'CentOS Stream 10', [1, 2 * GIB, 10 * GIB]),
  system('linux', 'Debian 11', [1, 512 * MIB, 4 * GIB]),
  system('linux', 'Debian 12', [1, 512 * MIB, 4 * GIB]),
  system('linux', 'Debian 13', [1, 512 * MIB, 4 * GIB]),
  system('linux', 'Fedora 42', [1, 2 * GIB, 15 * GIB]),
  system('linux', 'Fedora 43', [1, 2 * GIB, 15 * GIB]),
  system('linux', 'openSUSE Leap 15', [1, GIB, 10 * GIB]),
  system('linux', 'Oracle Linux 9', [1, 1536 * MIB, 10 * GIB]),
  system('linux', 'RHEL 8', [1, 1536 * MIB, 10 * GIB]),
  system('linux', 'RHEL 9', [1, 1536 * MIB, 10 * GIB]),
  system('linux', 'RHEL 10', [1, 2 * GIB, 10 * GIB]),
  system('linux', 'Rocky Linux 8', [1, 1536 * MIB, 10 * GIB]),
  system('linux', 'Rocky Linux 9', [1, 1536 * MIB, 10 * GIB]),
  system('linux', 'Rocky Linux 10', [1, 2 * GIB, 10 * GIB]),
  system('linux', 'SLES 15', [1, GIB, 10 * GIB]),
  system('linux', 'Ubuntu 20.04', [1, GIB, 5 * GIB]),
  system('linux', 'Ubuntu 22.04', [1, GIB, 5 * GIB]),
  system('linux', 'Ubuntu 24.04', [1, GIB, 5 * GIB]),
  system('windows', 'Windows 10', [1, 2 * GIB, 32 * GIB]),
  system('windows', 'Windows 11', [2, 4 * GIB, 64 * GIB]),
  system('windows', 'Windows Server 2016', [1, 2 * GIB, 32 * GIB]),
  system('windows', 'Windows Server 2019', [1, 2 * GIB, 32 * GIB]),
  system('windows', 'Windows Server 2022', [1, 2 * GIB, 32 * GIB]),
  system('windows', 'Windows Server 2025', [1, 2 * GIB, 32 * GIB]),
  system('bsd', 'FreeBSD 13', [1, 512 * MIB, 2 * GIB]),
  system('bsd', 'FreeBSD 14', [1, 512 * MIB, 2 * GIB]),
  system('bsd', 'OpenBSD 7', [1, 512 * MIB, 2 * GIB]),
]

const BY_ID: ReadonlyMap<string, OperatingSystem> = new Map(OPERATING_SYSTEMS.map((each) => [each.id, each]))

/** Returns the entry that a text means by its id or its name, in any case and with spaces or dashes; undefined if the catalogue has none. */
export function findSystem(text: string): OperatingSystem | undefined {
  return BY_ID.get(normalised(text))
}

/** Returns the value of the member `os` for a text: the id of its entry, or the text itself. */
export function systemId(text: string): string {
  return findSystem(text)?.id ?? text
}

function normalised(text: string): string {
  return text.trim().toLowerCase().replaceAll(/\s+/g, '-')
}
