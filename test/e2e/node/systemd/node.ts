// A Debian 12 node for tests, on which nothing of Slipway is installed until a test runs the lines of docs/install.md.

import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { documentedBlocks } from '../../../support/machine/documented-lines.ts'
import { bootMachine } from '../../../support/machine/systemd-machine.ts'
import type { Machine, Ran } from '../../../support/machine/systemd-machine.ts'
import type { TestFunction } from '../../../support/require.ts'
import { until } from '../../../support/until.ts'

const ROOT = join(import.meta.dir, '../../../..')
const TOKEN_FILE = '/etc/credstore/slipway-agent.edge-a.admin-token'

export type MachineTest = TestFunction
export const UNIT = 'slipway-agent@edge-a'
export const BASE = 'http://127.0.0.1:8420'
/** Health of a store that works; a busy machine makes it degraded. */
export const SERVES = /"state":"(?:running|degraded)"/
/** The same as the bot shows it, in its list of stores and on the card of the store. */
export const SHOWN_SERVING = /(?:edge-a|State +\S) +(?:Running|Degraded)/

export interface Node extends AsyncDisposable {
  machine(): Machine
  /** Runs curl on the node with the admin token of the credential. */
  ask(...more: string[]): Promise<Ran>
  /** Returns a property of the agent's unit. */
  property(name: string): Promise<string>
  /** Returns everything that the agent's unit has logged. */
  journal(): Promise<string>
}

/** Waits until health is not an error: on a busy machine the mount path may take longer than 2 s to answer. */
export async function untilHealthy(node: Node, base: string): Promise<void> {
  await until('the agent is healthy', async () => (await node.machine().run('curl', '-fsS', '-m', '20', `${base}/v1/health`)).code === 0)
}

/** Builds the archive of docs/install.md on this machine, boots a node in `folder`, and copies the archive there. */
export async function startNode(folder: string): Promise<Node> {
  for (const block of await documentedBlocks('docs/install.md', '1. Build the programs', 'sh build')) {
    const build = Bun.spawn(['bash', '-euo', 'pipefail', '-c', block], { cwd: ROOT, stdin: 'ignore', stdout: 'ignore', stderr: 'pipe' })
    const stderr = await new Response(build.stderr).text()
    if ((await build.exited) !== 0) throw new Error(`the programs could not be built: ${stderr}`)
  }
  const machine = await bootMachine(folder)
  const { root, must, run } = machine
  await copyFile(join(ROOT, 'dist/slipway.tar.gz'), join(root, 'root/slipway.tar.gz'))
  return {
    machine: () => machine,
    async ask(...more) {
      const token = (await must('cat', TOKEN_FILE)).trim()
      return run('curl', '-s', '-m', '20', '-H', `Authorization: Bearer ${token}`, ...more)
    },
    property: async (name) => (await must('systemctl', 'show', '--value', '-p', name, UNIT)).trim(),
    journal: () => must('journalctl', '-u', UNIT, '--no-pager', '-o', 'cat'),
    [Symbol.asyncDispose]: () => machine[Symbol.asyncDispose](),
  }
}
