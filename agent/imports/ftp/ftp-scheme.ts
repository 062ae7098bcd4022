// Imports by ftp, and by ftps with AUTH TLS. The path of the URL is relative to the folder of the login (RFC 1738 §3.2.2); a path that begins with
// %2F or with a second slash is absolute.

import { problem } from '../../../protocol/problems.ts'
import type { AddressGuard } from '../address-guard.ts'
import { remoteTarget } from '../remote-target.ts'
import type { ImportScheme } from '../source.ts'
import { connectFtp } from './ftp-connection.ts'

const PORT = 21
/** RFC 1635. */
const ANONYMOUS = { user: 'anonymous', password: 'slipway@' }

/** Creates the scheme. `guard` returns the addresses of a host that may be connected to. */
export function createFtpScheme(guard: AddressGuard): ImportScheme {
  return {
    accepts: (location) => location.kind === 'url' && /^ftps?:/i.test(location.url),

    async check(location) {
      await remoteTarget(location, PORT, guard)
    },

    source: (location, { username, password }) => ({
      async open(signal) {
        const { addresses, host, hostname, port, path, isTls } = await remoteTarget(location, PORT, guard)
        if (username === undefined && password !== undefined) throw problem('invalid-input', 'A password needs a username.')
        const login = username === undefined ? ANONYMOUS : { user: username, password: password ?? '' }
        const connection = await connectFtp({ addresses, port, host, path, ...login, tlsName: isTls ? hostname : undefined }, signal)
        return {
          facts: {
            length: connection.length,
            filename: path.split('/').at(-1) || null,
            validator: connection.modifiedMs === undefined ? null : `${connection.length}-${connection.modifiedMs}`,
            canResume: true,
          },
          read: (offset) => connection.read(offset),
          async [Symbol.asyncDispose]() {
            connection[Symbol.dispose]()
          },
        }
      },
    }),
  }
}
