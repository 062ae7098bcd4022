// FTP and SFTP servers from Debian on loopback: vsftpd and sshd with a configuration and keys of their own, as processes that a test starts and ends.

import { mkdirSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { freePort } from '../machine/free-port.ts'
import { until } from '../until.ts'

export interface FileServer extends AsyncDisposable {
  readonly port: number
}

export interface FtpOptions {
  /** 127.0.0.1 by default. */
  readonly host?: string
  /** The only port of data connections; any by default. */
  readonly dataPort?: number
  /** PEM file with certificate and key: turns on AUTH TLS. */
  readonly certificate?: string
  /** Further lines of vsftpd.conf. */
  readonly lines?: readonly string[]
}

/** Starts vsftpd with anonymous access to a folder. `work` is a folder for its configuration. */
export async function startFtpServer(root: string, work: string, options: FtpOptions = {}): Promise<FileServer> {
  const { host = '127.0.0.1', dataPort, certificate, lines = [] } = options
  mkdirSync('/var/run/vsftpd/empty', { recursive: true })
  const port = await freePort(host)
  const file = join(work, `vsftpd-${port}.conf`)
  const tls = certificate === undefined ? [] : ['ssl_enable=YES', 'allow_anon_ssl=YES', `rsa_cert_file=${certificate}`, `rsa_private_key_file=${certificate}`]
  const data = dataPort === undefined ? [] : [`pasv_min_port=${dataPort}`, `pasv_max_port=${dataPort}`]
  const text = [
    'listen=YES',
    `listen_address=${host}`,
    `listen_port=${port}`,
    'background=NO',
    'anonymous_enable=YES',
    'local_enable=NO',
    'write_enable=NO',
    `anon_root=${root}`,
    'no_anon_password=NO',
    'seccomp_sandbox=NO',
    'secure_chroot_dir=/var/run/vsftpd/empty',
    'pasv_enable=YES',
    'port_enable=NO',
    'vsftpd_log_file=/dev/null',
    ...data,
    ...tls,
    ...lines,
  ]
  await writeFile(file, `${text.join('\n')}\n`)
  return start(['/usr/sbin/vsftpd', file], host, port)
}

export interface SftpServer extends FileServer {
  /** The private key with which `root` may log in. */
  readonly privateKey: string
  /** `SHA256:…` of its host key. */
  readonly fingerprint: string
}

/** Starts sshd with SFTP for the user who runs the test. `work` is a folder for its configuration and keys. */
export async function startSftpServer(work: string, port?: number): Promise<SftpServer> {
  const at = port ?? (await freePort())
  const folder = join(work, `sshd-${at}-${crypto.randomUUID().slice(0, 8)}`)
  await mkdir(folder)
  mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
  for (const name of ['host', 'user']) run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', join(folder, name)])
  const lines = [
    `Port ${at}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${folder}/host`,
    `AuthorizedKeysFile ${folder}/user.pub`,
    `PidFile ${folder}/pid`,
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
    'PermitRootLogin prohibit-password',
    'Subsystem sftp internal-sftp',
    'LogLevel QUIET',
    'MaxStartups 100',
  ]
  await writeFile(join(folder, 'config'), `${lines.join('\n')}\n`)
  await chmod(join(folder, 'host'), 0o600)
  const server = await start(['/usr/sbin/sshd', '-D', '-e', '-f', join(folder, 'config')], '127.0.0.1', at)
  const printed = run(['ssh-keygen', '-l', '-f', join(folder, 'host.pub')])
  return {
    port: at,
    privateKey: await Bun.file(join(folder, 'user')).text(),
    fingerprint: printed.split(' ')[1] ?? '',
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

/** Starts a server and waits until it accepts a connection. */
async function start(command: readonly string[], host: string, port: number): Promise<FileServer> {
  const child = Bun.spawn([...command], { stdin: 'ignore', stdout: 'ignore', stderr: 'pipe' })
  const end = async (): Promise<void> => {
    child.kill('SIGTERM')
    await child.exited
  }
  try {
    await until(`${command[0]} accepts connections`, async () => {
      if (child.exitCode !== null) throw new Error(`${command[0]} ended with ${child.exitCode}: ${await new Response(child.stderr).text()}`)
      return accepts(host, port)
    })
  } catch (error) {
    await end()
    throw error
  }
  return { port, [Symbol.asyncDispose]: end }
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host, port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

function run(command: readonly string[]): string {
  const child = Bun.spawnSync([...command])
  if (child.exitCode !== 0) throw new Error(`${command.join(' ')}: ${child.stderr.toString()}`)
  return child.stdout.toString()
}
