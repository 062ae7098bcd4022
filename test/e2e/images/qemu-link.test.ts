// Runs the lines of docs/access.md that read an image with QEMU, unchanged, against an agent.

import { describe, expect } from 'bun:test'
import { join } from 'node:path'
import { sampleBytes } from '../../conformance/tus/suite.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import { requireTool } from '../../support/require.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

const LENGTH = 24 * 1024 * 1024 + 512

/** Returns the shell block of the document that is marked `qemu`. */
async function documentedLines(): Promise<string> {
  const text = await Bun.file(join(import.meta.dir, '../../../docs/access.md')).text()
  return /```sh qemu\n([\s\S]*?)```/.exec(text)?.[1] ?? ''
}

describe('an image is read by QEMU over a signed link', () => {
  requireTool('qemu-img', 'qemu-utils qemu-block-extra')('as docs/access.md says', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.path)
    const disk = sampleBytes(LENGTH)
    // With zeros, so that the image has two kinds of extents.
    disk.fill(0, 5_000_000, 15_000_000)
    await Bun.write(folder.file('disk.raw'), disk)
    const made = await fetch(`${agent.url}/v1/uploads`, {
      method: 'POST',
      headers: agent.headers({
        'tus-resumable': '1.0.0',
        'upload-length': String(LENGTH),
        'upload-metadata': `name ${btoa('debian-13')}`,
        'content-type': 'application/offset+octet-stream',
      }),
      body: disk,
    })
    expect(made.status).toBe(201)
    await until('the image is available', async () => (await agent.client.images.get('debian-13')).status === 'available')

    const shell = Bun.spawn(['bash', '-euc', await documentedLines()], {
      cwd: folder.path,
      env: { PATH: process.env['PATH'], AGENT: agent.url, TOKEN: TEST_ADMIN_TOKEN, IMAGE: 'debian-13' },
      stdout: 'pipe',
      stderr: 'pipe',
    })
    const [stdout, stderr, code] = await Promise.all([new Response(shell.stdout).text(), new Response(shell.stderr).text(), shell.exited])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toContain(`(${LENGTH} bytes)`)
    const compared = Bun.spawn(['qemu-img', 'compare', '-f', 'raw', '-F', 'qcow2', folder.file('disk.raw'), folder.file('copy.qcow2')], { stdout: 'ignore' })
    expect(await compared.exited).toBe(0)
  })
})
