// nginx as a web server of files, for tests of imports.

import { until } from '../until.ts'
import { freePort } from '../machine/free-port.ts'
import { createTemporaryFolder } from '../machine/temporary-folder.ts'

export interface Nginx extends AsyncDisposable {
  readonly port: number
  readonly url: string
  /** Its first process, whose child serves. */
  readonly pid: number
}

export interface NginxOptions {
  /** Folder whose files are served. */
  readonly root: string
  /** Further directives of the server, such as `max_ranges 0;`. */
  readonly directives?: string
  /** Certificate and key in PEM; the server then speaks TLS. */
  readonly tls?: { readonly cert: string; readonly key: string }
}

/** Starts nginx on a free port of loopback, and stops it when disposed. */
export async function startNginx({ root, directives = '', tls }: NginxOptions): Promise<Nginx> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const port = await freePort()
  const listen = `listen 127.0.0.1:${port}${tls ? ' ssl' : ''}; ${tls ? `ssl_certificate ${tls.cert}; ssl_certificate_key ${tls.key};` : ''}`
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder.file(name)};`).join(' ')
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  await Bun.write(
    folder.file('nginx.conf'),
    `${user} daemon off; worker_processes 1; pid ${folder.file('pid')}; events {}\nhttp { access_log off; ${paths} server { ${listen} root ${root}; ${directives} } }\n`,
  )
  const binary = Bun.which('nginx', { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` }) ?? 'nginx'
  const child = Bun.spawn([binary, '-c', folder.file('nginx.conf'), '-e', 'stderr'], { stdin: 'ignore', stdout: 'ignore', stderr: 'inherit' })
  stack.defer(async () => {
    child.kill()
    await child.exited
  })
  const url = `${tls ? 'https' : 'http'}://127.0.0.1:${port}`
  await until('nginx answers', () => canConnect(port))
  const owned = stack.move()
  return { port, url, pid: child.pid, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

async function canConnect(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname: '127.0.0.1', port, socket: { data() {} } })
    socket.end()
    return true
  } catch {
    // Not listening yet.
    return false
  }
}
