// Connects to an FTP server at an address that was checked, and reads one file from an offset (RFC 959, RFC 3659). Data connections go to the
// address of the control connection only, so that a server cannot direct this store to another machine.

import { PassThrough } from 'node:stream'
import { Client, FTPError } from 'basic-ftp'
import { problem, ProblemError } from '../../../protocol/problems.ts'
import { SourceInterrupted } from '../source.ts'

/** Longest silence of the control or data connection in milliseconds. */
const SILENCE_MS_MAX = 30_000

/** RFC 959 §4.2: not logged in; file unavailable; the file name is not allowed; the command is not implemented. */
const NOT_LOGGED_IN = 530
const FILE_UNAVAILABLE: ReadonlySet<number> = new Set([450, 550, 553])
const NOT_IMPLEMENTED: ReadonlySet<number> = new Set([500, 501, 502, 504])

export interface FtpTarget {
  readonly addresses: readonly string[]
  readonly port: number
  /** `host:port` as the URL names it. */
  readonly host: string
  /** Path as the server gets it: relative to the folder of the login, or absolute with a leading slash. */
  readonly path: string
  readonly user: string
  readonly password: string
  /** Name for the certificate: the control connection is upgraded with AUTH TLS (RFC 4217). Undefined for plain FTP. */
  readonly tlsName: string | undefined
}

/** A connection whose login has succeeded. Disposing closes it. */
export interface FtpConnection extends Disposable {
  readonly length: number
  /** Time of the last change as the server gives it; undefined when it does not. */
  readonly modifiedMs: number | undefined
  /** Returns the bytes from an offset. The server has confirmed the transfer before the last piece is returned. Called once. */
  read(offset: number): AsyncGenerator<Uint8Array<ArrayBuffer>, void>
}

/** Connects, logs in, and asks for the length of the file. Throws ProblemError `source-refused`, or SourceInterrupted. */
export async function connectFtp(target: FtpTarget, signal: AbortSignal): Promise<FtpConnection> {
  signal.throwIfAborted()
  const client = new Client(SILENCE_MS_MAX)
  const close = (): void => client.close()
  signal.addEventListener('abort', close, { once: true })
  try {
    await logIn(client, target)
    const length = await lengthOf(client, target)
    const modifiedMs = await modifiedMsOf(client, target.path)
    return {
      length,
      modifiedMs,
      read: (offset) => readFile(client, target, { offset, length, signal }),
      [Symbol.dispose]() {
        signal.removeEventListener('abort', close)
        client.close()
      },
    }
  } catch (error) {
    signal.removeEventListener('abort', close)
    client.close()
    signal.throwIfAborted()
    throw ftpProblem(target, error)
  }
}

async function logIn(client: Client, { addresses, port, user, password, tlsName }: FtpTarget): Promise<void> {
  let failure: unknown
  for (const host of addresses) {
    try {
      await client.access({
        host,
        port,
        user,
        password,
        secure: tlsName !== undefined,
        ...(tlsName === undefined ? {} : { secureOptions: { servername: tlsName } }),
      })
      return
    } catch (error) {
      // An answer of the server is final; only an address that does not answer is followed by the next.
      if (error instanceof FTPError) throw error
      failure = error
    }
  }
  throw failure
}

/** Returns the length (RFC 3659 §4). A server that does not give it is refused, because a cut could not be told from the end. */
async function lengthOf(client: Client, target: FtpTarget): Promise<number> {
  try {
    const length = await client.size(target.path)
    if (Number.isSafeInteger(length) && length >= 0) return length
  } catch (error) {
    if (!(error instanceof FTPError) || !NOT_IMPLEMENTED.has(error.code)) throw error
  }
  throw problem('source-refused', `${target.host} does not tell the length of the file (SIZE, RFC 3659).`, {
    action: 'Use another server, or another protocol: without the length a cut transfer looks complete.',
  })
}

/** Returns the time of the last change (RFC 3659 §3). */
async function modifiedMsOf(client: Client, path: string): Promise<number | undefined> {
  try {
    const atMs = (await client.lastMod(path)).getTime()
    return Number.isFinite(atMs) ? atMs : undefined
  } catch (error) {
    if (error instanceof FTPError) return undefined
    throw error
  }
}

async function* readFile(
  client: Client,
  target: FtpTarget,
  { offset, length, signal }: { readonly offset: number; readonly length: number; readonly signal: AbortSignal },
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  if (offset === length) return
  const pipe = new PassThrough()
  let failure: unknown
  // basic-ftp ends the pipe whether the transfer succeeded or not: the outcome is looked at after the last byte.
  const transfer = client.downloadTo(pipe, target.path, offset).catch((error: unknown) => {
    failure = error
    pipe.end()
  })
  let at = offset
  let last: Uint8Array<ArrayBuffer> | undefined
  try {
    for await (const piece of pipe as AsyncIterable<Buffer>) {
      at += piece.byteLength
      // A server that ignores REST sends the file from its beginning.
      if (at > length) throw problem('source-changed', `${target.host} sent more bytes than the ${length} that it announced.`)
      if (last) yield last
      // Copied: the buffer belongs to the socket.
      last = new Uint8Array(piece)
    }
    await transfer
  } finally {
    if (at !== length || failure !== undefined) client.close()
    pipe.destroy()
  }
  signal.throwIfAborted()
  if (failure !== undefined && at === length) throw ftpProblem(target, failure)
  if (last) yield last
  if (at < length) throw ftpProblem(target, failure ?? new Error('the data connection ended early'))
}

/** Returns the problem for an error of FTP. Texts of the server are not shown: they could carry anything that it can read. */
function ftpProblem({ host, user, path }: FtpTarget, error: unknown): Error {
  if (error instanceof ProblemError) return error
  if (error instanceof FTPError) return answerProblem(host, { user, path }, error)
  return new SourceInterrupted(`the connection to ${host} failed`, { cause: error })
}

function answerProblem(host: string, { user, path }: { user: string; path: string }, { code }: FTPError): Error {
  if (code === NOT_LOGGED_IN)
    return problem('source-refused', `${host} refused the login of ${JSON.stringify(user)} (530).`, { action: 'Check the user name and the password.' })
  if (FILE_UNAVAILABLE.has(code))
    return problem('source-refused', `${host} has no file ${JSON.stringify(path)} that may be read (${code}).`, { action: 'Check the path.' })
  return code < 500 ? new SourceInterrupted(`${host} answered ${code}`) : problem('source-refused', `${host} answered ${code}.`)
}
