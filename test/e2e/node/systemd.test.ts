// Slipway on a Debian 12 node with its own systemd: the lines of the operators' documents, unchanged, and the behaviour of the agent's
// unit. The tests share one node and run in this order.

import { afterAll, beforeAll } from 'bun:test'
import { hasTool, requireThat } from '../../support/require.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { testBackupAndRecovery } from './systemd/backup-and-recovery.ts'
import { testDamage } from './systemd/damage.ts'
import { testFullDisk } from './systemd/full-disk.ts'
import { testInstallation, testUninstallation } from './systemd/installation.ts'
import { testMountPath } from './systemd/mount-path.ts'
import { startNode } from './systemd/node.ts'
import type { Node } from './systemd/node.ts'
import { testTls } from './systemd/tls.ts'
import { testUnit } from './systemd/unit.ts'

const tools = [hasTool('systemd-nspawn', 'systemd-container'), hasTool('debootstrap', 'debootstrap'), hasTool('nsenter', 'util-linux')]
const isPossible =
  process.getuid?.() === 0 &&
  tools.every(Boolean) &&
  Bun.spawnSync(['unshare', '--mount', '--pid', '--cgroup', '--net', '--fork', 'true'], { stderr: 'ignore' }).exitCode === 0
const machineTest = requireThat(isPossible, 'a container with systemd needs root, namespaces, systemd-container and debootstrap')

let folder: TemporaryFolder
let started: Node | undefined

beforeAll(async () => {
  if (!isPossible) return
  folder = await createTemporaryFolder()
  started = await startNode(folder.path)
}, 480_000)

afterAll(async () => {
  if (!isPossible) return
  await started?.[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
}, 60_000)

const booted = (): Node => {
  if (!started) throw new Error('the node did not boot')
  return started
}
/** Refers to the node in the tests, which are declared before it boots. */
const node: Node = {
  machine: () => booted().machine(),
  ask: (...more) => booted().ask(...more),
  property: (name) => booted().property(name),
  journal: () => booted().journal(),
  [Symbol.asyncDispose]: () => booted()[Symbol.asyncDispose](),
}

testInstallation(machineTest, node)
testUnit(machineTest, node)
testTls(machineTest, node)
testBackupAndRecovery(machineTest, node)
testMountPath(machineTest, node)
testDamage(machineTest, node)
testFullDisk(machineTest, node)
testUninstallation(machineTest, node)
