// Connects to an SFTP server at an address that was checked, verifies its host key before anything secret is sent, and logs in.

import { connect as connectSocket } from 'node:net'
import type { Socket } from 'node:net'
import { Client } from 'ssh2'
import type { ConnectConfig, SFTPWrapper } from 'ssh2'
import { problem, ProblemError } from '../../../protocol/problems.ts'
import { SourceInterrupted } from '../source.ts'
import { called } from './sftp-file.ts'
import { describeHostKey } from './host-keys.ts'
import type { HostKeys, ShownKey } from './host-keys.ts'

/** Longest time for the TCP connection, and from there to the end of the login, in milliseconds. */
const CONNECT_MS_MAX = 10_000
const LOGIN_MS_MAX = 20_000
/** A server that answers none of three probes at this distance is gone. */
const PROBE_MS = 10_000
const PROBES_MAX = 3

/** Host key algorithms in the order in which they are preferred; SHA-1 signatures are not accepted. */
const HOST_KEY_ALGORITHMS = ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521', 'rsa-sha2-512', 'rsa-sha2-256'] as const

export interface SftpTarget {
  /** Addresses that may be connected to, in this order. */
  readonly addresses: readonly string[]
  readonly port: number
  /** `host:port` as the URL names it: the name under which the host key is pinned. */
  readonly host: string
  readonly user: string
  readonly password: string | undefined
  /** PEM or OpenSSH format. */
  readonly privateKey: string | undefined
  readonly passphrase: string | undefined
  /** Fingerprint that the host key must have. */
  readonly hostKey: string | undefined
}

/** A connection with an SFTP channel. Disposing closes it. */
export interface SftpConnection extends Disposable {
  readonly sftp: SFTPWrapper
  readonly shown: ShownKey
  /** Rejects when the connection ends, and never resolves. */
  readonly lost: Promise<never>
}

/** Connects and logs in. Throws ProblemError: `host-key-mismatch`, `source-refused` for the login; SourceInterrupted. */
export async function connectSftp(target: SftpTarget, hostKeys: HostKeys, signal: AbortSignal): Promise<SftpConnection> {
  signal.throwIfAborted()
  using stack = new DisposableStack()
  const socket = stack.adopt(await connectTo(target, signal), (open) => void open.destroy())
  const client = stack.adopt(new Client(), (open) => void open.destroy())
  let shown: ShownKey | undefined
  let refusal: unknown
  const lost = new Promise<never>((_, reject) => {
    // Later errors of a connection that is gone add nothing; without a listener they would end the process.
    client.on('error', (error) => reject(refusal ?? sshProblem(target, error)))
    client.on('close', () => reject(new SourceInterrupted(`the connection to ${target.host} ended`)))
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
  lost.catch(() => {})
  const ready = new Promise<void>((resolve) => client.once('ready', resolve))
  const verify = (key: Buffer): boolean => {
    try {
      shown = describeHostKey(target.host, key)
      hostKeys.check(shown, target.hostKey)
      return true
    } catch (error) {
      refusal = error
      return false
    }
  }
  try {
    client.connect(loginOf(target, socket, hostKeys.find(target.host)?.algorithm, verify))
  } catch {
    // ssh2 checks the private key before it connects.
    throw problem('invalid-input', 'The private key cannot be used: it is not in OpenSSH or PEM format, or its passphrase is wrong.', {
      action: 'Send an unencrypted key, or its passphrase too.',
    })
  }
  await Promise.race([ready, lost])
  const sftp = await Promise.race([called<SFTPWrapper>((done) => client.sftp(done)), lost]).catch((error: unknown) => {
    throw isOwn(error) ? error : problem('source-refused', `${target.host} offers no SFTP.`, {}, { cause: error })
  })
  if (!shown) throw new Error('the server was ready before it showed its host key')
  const owned = stack.move()
  return { sftp, shown, lost, [Symbol.dispose]: () => owned.dispose() }
}

function loginOf(target: SftpTarget, sock: Socket, pinned: string | undefined, hostVerifier: (key: Buffer) => boolean): ConnectConfig {
  const { user, password, privateKey, passphrase } = target
  // The algorithm of the pinned key comes first, so that a server that has got another key beside it still shows the pinned one.
  const isPinned = (name: string): boolean => name === pinned || (pinned === 'ssh-rsa' && name.startsWith('rsa-sha2-'))
  return {
    sock,
    username: user,
    hostVerifier,
    algorithms: { serverHostKey: HOST_KEY_ALGORITHMS.toSorted((a, b) => Number(isPinned(b)) - Number(isPinned(a))) },
    readyTimeout: LOGIN_MS_MAX,
    keepaliveInterval: PROBE_MS,
    keepaliveCountMax: PROBES_MAX,
    ...(password === undefined ? {} : { password }),
    ...(privateKey === undefined ? {} : { privateKey }),
    ...(passphrase === undefined ? {} : { passphrase }),
  }
}

/** Connects to the first address that answers. */
async function connectTo({ addresses, port, host }: SftpTarget, signal: AbortSignal): Promise<Socket> {
  let failure: unknown
  for (const address of addresses) {
    try {
      return await connectOnce(address, port, signal)
    } catch (error) {
      signal.throwIfAborted()
      failure = error
    }
  }
  throw new SourceInterrupted(`${host} does not accept a connection`, { cause: failure })
}

function connectOnce(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket({ host, port, signal, noDelay: true })
    const fail = (error: unknown): void => {
      socket.destroy()
      reject(error)
    }
    socket.setTimeout(CONNECT_MS_MAX, () => fail(new Error('no connection in time')))
    socket.once('error', fail)
    socket.once('connect', () => {
      socket.setTimeout(0)
      socket.off('error', fail)
      // ssh2 listens from its next turn on; an error before that must not end the process.
      socket.on('error', () => {})
      resolve(socket)
    })
  })
}

function sshProblem({ host, user }: SftpTarget, error: Error & { level?: string }): Error {
  if (error.level === 'client-authentication') {
    return problem('source-refused', `${host} refused the login of ${JSON.stringify(user)}.`, {
      action: 'Check the user name, and the password or private key.',
    })
  }
  if (error.level === 'handshake') return problem('source-refused', `${host} and this agent have no SSH method in common.`, {}, { cause: error })
  return new SourceInterrupted(`the connection to ${host} failed`, { cause: error })
}

function isOwn(error: unknown): boolean {
  return error instanceof ProblemError || error instanceof SourceInterrupted
}
