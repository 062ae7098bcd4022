// QEMU boots a Debian image straight from the agent: its curl driver reads the content over HTTP, converted while it is read. Without hardware
// virtualisation this takes one to several minutes.

import { afterAll, describe, expect } from 'bun:test'
import { uploadByCurl } from '../../bench/agent-load.ts'
import { startAgent } from '../../support/agents/agent-process.ts'
import { bootImage } from '../../support/images/image-family.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { hasTool, requireThat, requireTool } from '../../support/require.ts'
import { until } from '../../support/until.ts'

const BOOT_MS_MAX = 15 * 60_000
const canBuild = process.getuid?.() === 0 && hasTool('debootstrap', 'debootstrap') && hasTool('qemu-img', 'qemu-utils qemu-block-extra')
const bootTest = canBuild
  ? requireTool('qemu-system-x86_64', 'qemu-system-x86')
  : requireThat(process.getuid?.() === 0, 'the image of the boot test is built by debootstrap, which needs root')

let qemu: Bun.Subprocess<'ignore', 'pipe', 'pipe'> | undefined
afterAll(() => qemu?.kill('SIGKILL'))

describe('a real image', () => {
  bootTest(
    'boots over HTTP from its converted content, up to the login on the serial console',
    async () => {
      const image = await bootImage((line) => console.error(line))
      await using folder = await createTemporaryFolder()
      await using agent = await startAgent(folder.path)
      const { id } = await uploadByCurl(agent, image.disk, 'bootable')
      await until('the image is available', async () => (await agent.client.images.get(id)).status === 'available', 120_000)
      const { url } = await agent.client.links.create({ kind: 'download', image: id })
      // Two drivers: qcow2 over http. Changes of the guest go to a temporary file.
      const file = { driver: 'http', url: `${url}&as=qcow2`, readahead: 1_048_576, timeout: 120 }
      const drive = `if=virtio,snapshot=on,file=json:${JSON.stringify({ driver: 'qcow2', file }).replaceAll(',', ',,')}`
      const machine = ['-m', '512', '-nographic', '-nodefaults', '-no-reboot', '-serial', 'stdio', '-accel', 'tcg,thread=multi']
      const boot = ['-kernel', image.kernel, '-initrd', image.initrd, '-append', 'root=/dev/vda rw console=ttyS0 quiet']
      qemu = Bun.spawn(['qemu-system-x86_64', ...machine, ...boot, '-drive', drive], { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' })
      const errors = new Response(qemu.stderr).text()
      let shown = ''
      for await (const piece of qemu.stdout.pipeThrough(new TextDecoderStream())) {
        shown += piece
        if (shown.includes('login: ')) break
      }
      qemu.kill('SIGKILL')
      await qemu.exited
      expect([shown.includes('Debian GNU/Linux 12'), shown.includes('login: '), await errors]).toEqual([true, true, ''])
    },
    BOOT_MS_MAX,
  )
})
