// Imports by sftp. The path of the URL is absolute; /~/ at its beginning stands for the folder of the login.

import { problem } from '../../../protocol/problems.ts'
import type { AddressGuard } from '../address-guard.ts'
import { remoteTarget } from '../remote-target.ts'
import type { RemoteTarget } from '../remote-target.ts'
import { SourceInterrupted } from '../source.ts'
import type { ImportScheme, OpenSource, SourceCredentials } from '../source.ts'
import type { HostKeys } from './host-keys.ts'
import { connectSftp } from './sftp-connection.ts'
import type { SftpConnection } from './sftp-connection.ts'
import { called, openHandle, readHandle } from './sftp-file.ts'
import type { SftpHandle } from './sftp-file.ts'

const PORT = 22
/** SSH_FX_NO_SUCH_FILE and SSH_FX_PERMISSION_DENIED of the SFTP draft, §7. */
const NO_SUCH_FILE = 2
const PERMISSION_DENIED = 3

/** Creates the scheme. `guard` returns the addresses of a host that may be connected to. */
export function createSftpScheme(guard: AddressGuard, hostKeys: HostKeys): ImportScheme {
  return {
    accepts: (location) => location.kind === 'url' && /^sftp:/i.test(location.url),

    async check(location) {
      await remoteTarget(location, PORT, guard)
    },

    source: (location, credentials) => ({
      open: async (signal) => openSource(await remoteTarget(location, PORT, guard), credentials, hostKeys, signal),
    }),
  }
}

async function openSource(target: RemoteTarget, credentials: SourceCredentials, hostKeys: HostKeys, signal: AbortSignal): Promise<OpenSource> {
  const { username, password, privateKey, passphrase, hostKey } = credentials
  if (username === undefined || (password === undefined && privateKey === undefined))
    throw problem('invalid-input', 'An import by sftp needs a username, and a password or a privateKey.')
  const { addresses, port, host } = target
  const connection = await connectSftp({ addresses, port, host, user: username, password, privateKey, passphrase, hostKey }, hostKeys, signal)
  try {
    const path = target.path.startsWith('~/') ? target.path.slice(2) : `/${target.path}`
    const handle = await Promise.race([openHandle(connection.sftp, path), connection.lost]).catch((error: unknown) => {
      throw openProblem(error, host, path)
    })
    if (!handle.stats.isFile()) throw problem('source-refused', `${JSON.stringify(path)} on ${host} is not a regular file.`)
    return {
      facts: { length: handle.stats.size, filename: path.split('/').at(-1) ?? null, validator: validatorOf(handle.stats), canResume: true },
      read: (offset) => readRest(connection, handle, offset, host),
      async [Symbol.asyncDispose]() {
        connection[Symbol.dispose]()
      },
    }
  } catch (error) {
    connection[Symbol.dispose]()
    throw error
  }
}

/** Returns the bytes from an offset. Before the last piece, the file must still have the length and time that it had when it was opened. */
async function* readRest({ sftp, lost }: SftpConnection, handle: SftpHandle, offset: number, host: string): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  const pieces = readHandle(handle, offset, handle.stats.size)
  let at = offset
  try {
    for (;;) {
      const next = await Promise.race([pieces.next(), lost])
      if (next.done === true) return
      at += next.value.byteLength
      if (at === handle.stats.size) {
        const now = await Promise.race([called<SftpHandle['stats']>((done) => sftp.fstat(handle.handle, done)), lost])
        if (validatorOf(now) !== validatorOf(handle.stats)) throw problem('source-changed', `The file on ${host} was changed while it was read.`)
      }
      yield next.value
    }
  } catch (error) {
    if (typeof (error as { code?: unknown }).code === 'number') throw new SourceInterrupted(`${host} could not read its file`, { cause: error })
    throw error
  }
}

function validatorOf({ size, mtime }: SftpHandle['stats']): string {
  return `${size}-${mtime}`
}

/** Returns the problem for a file that could not be opened. Texts of the server are not shown. */
function openProblem(error: unknown, host: string, path: string): unknown {
  const code = (error as { code?: unknown }).code
  if (code === NO_SUCH_FILE) return problem('source-refused', `${host} has no file ${JSON.stringify(path)}.`, { action: 'Check the path.' })
  if (code === PERMISSION_DENIED)
    return problem('source-refused', `The login may not read ${JSON.stringify(path)} on ${host}.`, { action: 'Check the mode of the file.' })
  if (typeof code === 'number') return problem('source-refused', `${host} could not open ${JSON.stringify(path)}.`, {}, { cause: error })
  return error
}
