// Runs the lines of docs/tls.md with certificates of a private authority.

import { describe, expect } from 'bun:test'
import { join } from 'node:path'
import { documentedBlocks, runDocumented } from '../../../support/machine/documented-lines.ts'
import { UNIT } from './node.ts'
import type { MachineTest, Node } from './node.ts'

const NAME = 'edge-a.example'
const URL = `https://${NAME}:8420`

/** Creates a private authority and a certificate for NAME, and writes them to the paths on the node that docs/tls.md names. */
function issueCertificates(root: string, serial: number): void {
  const script = `
    cd ${join(root, 'root')}
    [ -e private-ca.pem ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=Private authority" -keyout private-ca.key -out private-ca.pem
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=${NAME}" -keyout edge-a.key -out edge-a.csr
    printf 'subjectAltName=DNS:${NAME}' > names
    openssl x509 -req -in edge-a.csr -CA private-ca.pem -CAkey private-ca.key -set_serial ${serial} -days 30 -extfile names -out edge-a.pem`
  const made = Bun.spawnSync(['bash', '-euc', script], { stdout: 'ignore', stderr: 'pipe' })
  if (made.exitCode !== 0) throw new Error(`the certificates could not be issued: ${made.stderr.toString()}`)
}

/** Turns TLS on, renews the certificate, and turns TLS off again. */
export function testTls(test: MachineTest, node: Node): void {
  const must = (...command: string[]): Promise<string> => node.machine().must(...command)

  describe('tls.md', () => {
    test('turns TLS on, and the bot trusts a private authority', async () => {
      issueCertificates(node.machine().root, 1)
      await must('sh', '-c', `echo '127.0.0.1 ${NAME}' >> /etc/hosts`)
      const [toml = ''] = await documentedBlocks('docs/tls.md', 'Turn it on', 'toml')
      await must('sh', '-c', `sed -i '/^\\[tls\\]/,$d' /etc/slipway/edge-a.toml && cat >> /etc/slipway/edge-a.toml <<'EOF'\n${toml}EOF`)
      expect(await runDocumented(node.machine(), 'docs/tls.md', 'Turn it on')).toContain('is valid')
      const [edit = ''] = await documentedBlocks('docs/tls.md', 'Turn it on', 'sh after')
      const refused = await node.machine().run('bash', '-euc', edit)
      expect(refused.stdout + refused.stderr).toContain('No authority that the bot trusts signed the certificate')
      await runDocumented(node.machine(), 'docs/tls.md', 'Private certificate authority')
      expect(await must('bash', '-euc', edit)).toContain(URL)
    })

    test('renews a certificate without a restart', async () => {
      const serial = async (): Promise<string> =>
        /Serial number: *(\S+)/i.exec(
          (
            await node
              .machine()
              .run('sh', '-c', `echo | openssl s_client -connect ${NAME}:8420 2>/dev/null | openssl x509 -noout -serial | sed 's/serial=/Serial number: /'`)
          ).stdout,
        )?.[1] ?? ''
      expect(await serial()).toBe('01')
      const pid = await node.property('MainPID')
      issueCertificates(node.machine().root, 2)
      await runDocumented(node.machine(), 'docs/tls.md', 'Renew a certificate')
      expect(await serial()).toBe('02')
      expect(await node.property('MainPID')).toBe(pid)
    })

    test('goes back to plain HTTP on loopback', async () => {
      await must('sh', '-c', "sed -i '/^\\[tls\\]/,$d' /etc/slipway/edge-a.toml")
      await must('systemctl', 'restart', UNIT)
      const [edit = ''] = await documentedBlocks('docs/tls.md', 'Turn it on', 'sh after')
      await must('bash', '-euc', edit.replace(URL, 'http://127.0.0.1:8420'))
      await must('rm', '-rf', '/usr/local/share/ca-certificates/private-ca.crt', '/etc/slipway/tls')
      await must('update-ca-certificates', '--fresh')
      await must('sh', '-c', `sed -i '/${NAME}/d' /etc/hosts && { [ -s /etc/hosts ] || rm /etc/hosts; }`)
    })
  })
}
