// Finds out why an address does not answer: its name, the TCP connection, or TLS with the name, the dates and the authority of the certificate.

import { lookup } from 'node:dns/promises'
import { connect as connectTcp, isIP } from 'node:net'
import type { Socket } from 'node:net'
import { checkServerIdentity, connect as connectTls } from 'node:tls'
import { errorCode, errorText } from '../../protocol/errors.ts'
import { formatAt } from '../../protocol/views/phrases.ts'

/** Time that each step may take, in milliseconds. */
const STEP_MS_MAX = 5_000

/** A step that failed, and the next step for the operator. */
export interface Obstacle {
  readonly step: 'DNS' | 'TCP' | 'TLS'
  readonly detail: string
  readonly action: string
}

/** A certificate as a server shows it. Times in milliseconds since 1970. */
export interface ShownCertificate {
  /** Why a client refuses it, as a code of the runtime; undefined if its chain is accepted. */
  readonly refusal: string | undefined
  /** Names and addresses for which it is: `DNS:edge-a.example`. */
  readonly names: string
  readonly isForHost: boolean
  readonly issuer: string
  readonly fromMs: number
  readonly untilMs: number
}

/** Returns the step that fails on the way to an agent; undefined if the way is free. Throws nothing. */
export async function findObstacle(url: URL, nowMs: number): Promise<Obstacle | undefined> {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = Number(url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port)
  return (await nameObstacle(host)) ?? (await connectionObstacle(host, port)) ?? (url.protocol === 'https:' ? tlsObstacle(host, port, nowMs) : undefined)
}

/** Returns the certificate of an https address; undefined if it shows none in time. */
export async function shownCertificate(url: URL): Promise<ShownCertificate | undefined> {
  const shown = await readCertificate(url.hostname.replace(/^\[|\]$/g, ''), Number(url.port === '' ? 443 : url.port))
  return typeof shown === 'string' ? undefined : shown
}

async function nameObstacle(host: string): Promise<Obstacle | undefined> {
  if (isIP(host) !== 0) return undefined
  const late = Promise.withResolvers<string>()
  const limit = AbortSignal.timeout(STEP_MS_MAX)
  limit.addEventListener('abort', () => late.resolve(`no name server answered within ${STEP_MS_MAX / 1000} s`), { once: true })
  const found = lookup(host).then(
    () => undefined,
    (error: unknown) => (errorCode(error) === 'ENOTFOUND' ? 'no name server knows it' : errorText(error)),
  )
  const reason = await Promise.race([found, late.promise])
  if (reason === undefined) return undefined
  const action = 'Check the spelling, and that the bot uses the name server that knows it: getent hosts NAME on the node of the bot. Or write the IP address.'
  return { step: 'DNS', detail: `The name ${host} cannot be resolved: ${reason}.`, action }
}

const TCP_REASONS: Readonly<Record<string, readonly [reason: string, action: string]>> = {
  ECONNREFUSED: [
    'nothing listens there',
    'Start the agent (systemctl status slipway-agent@NAME on its node), check the port, and that network.listen is not 127.0.0.1 when the bot runs on another node.',
  ],
  EHOSTUNREACH: ['no route leads there', 'Check the network and the address of the node.'],
  ENETUNREACH: ['no route leads there', 'Check the network and the address of the node.'],
}
const SILENT = [`no answer within ${STEP_MS_MAX / 1000} s`, 'Check that the node is up, and that no firewall on the way drops the connection.'] as const

async function connectionObstacle(host: string, port: number): Promise<Obstacle | undefined> {
  const code = await settle(connectTcp({ host, port }), 'connect', () => undefined)
  if (code === undefined) return undefined
  const [reason, action] = code === 'ETIMEDOUT' ? SILENT : (TCP_REASONS[code] ?? [code, 'Check host, port and firewall.'])
  return { step: 'TCP', detail: `${host} port ${port} cannot be reached: ${reason}.`, action }
}

async function tlsObstacle(host: string, port: number, nowMs: number): Promise<Obstacle | undefined> {
  const shown = await readCertificate(host, port)
  if (typeof shown === 'string') {
    const action = 'If the agent has no certificate, write the address with http://. Else check tls.cert and tls.key in its configuration.'
    return { step: 'TLS', detail: `${host} port ${port} does not speak TLS, or ends the handshake (${shown}).`, action }
  }
  const words = certificateFault(shown, host, nowMs)
  return words && { step: 'TLS', ...words }
}

/** What is wrong with a certificate, and the next step; undefined if nothing is. */
export function certificateFault(shown: ShownCertificate, host: string, nowMs: number): Pick<Obstacle, 'detail' | 'action'> | undefined {
  const { refusal, names, issuer, fromMs, untilMs, isForHost } = shown
  const faults: Pick<Obstacle, 'detail' | 'action'>[] = []
  if (untilMs <= nowMs)
    faults.push({
      detail: `The certificate expired at ${formatAt(untilMs)}.`,
      action: 'Renew the certificate, then run systemctl reload slipway-agent@NAME on the node of the agent.',
    })
  if (fromMs > nowMs)
    faults.push({
      detail: `The certificate is not valid before ${formatAt(fromMs)}.`,
      action: 'Check the clocks of the bot and of the node that issued the certificate.',
    })
  if (!isForHost)
    faults.push({
      detail: `The certificate is for ${names === '' ? 'no name' : names}, not for ${host}.`,
      action: 'Use an address with a name of the certificate, or issue one that names this host.',
    })
  // An expired certificate is refused for its date, whoever signed it.
  if (refusal !== undefined && !/EXPIRED|NOT_YET_VALID/.test(refusal))
    faults.push({
      detail: `No authority that the bot trusts signed the certificate (issuer: ${issuer}; ${refusal}).`,
      action: 'Name the file with the authority in NODE_EXTRA_CA_CERTS of the bot and restart it, or use a certificate that a public authority signed.',
    })
  if (faults.length === 0) return undefined
  return { detail: faults.map(({ detail }) => detail).join(' '), action: faults.map(({ action }) => action).join(' ') }
}

/** Returns the certificate, accepted or not; or a code when there is none. */
function readCertificate(host: string, port: number): Promise<ShownCertificate | string> {
  const servername = isIP(host) === 0 ? host : ''
  // Nothing is sent over this connection: it only shows the certificate.
  const socket = connectTls({ host, port, servername, rejectUnauthorized: false })
  return settle(socket, 'secureConnect', () => {
    const certificate = socket.getPeerCertificate()
    const error: unknown = socket.authorizationError
    const code = error instanceof Error ? (errorCode(error) ?? error.message) : error === null || error === undefined ? undefined : JSON.stringify(error)
    const isForHost = checkServerIdentity(host, certificate) === undefined
    // The name is checked apart from the chain.
    const refusal = socket.authorized || /ALTNAME|HOSTNAME/.test(code ?? '') ? undefined : code?.replaceAll('"', '')
    return {
      refusal,
      names: certificate.subjectaltname ?? '',
      isForHost,
      issuer: nameOf(certificate.issuer),
      fromMs: Date.parse(certificate.valid_from),
      untilMs: Date.parse(certificate.valid_to),
    }
  })
}

function nameOf(issuer: { readonly CN?: string | string[]; readonly O?: string | string[] }): string {
  return [issuer.CN ?? issuer.O ?? 'unknown'].flat().join(', ')
}

/** Waits for an event of a socket and closes it; returns what `read` returns, or the code of the failure. */
async function settle<T>(socket: Socket, event: 'connect' | 'secureConnect', read: () => T): Promise<T | string> {
  const ended = Promise.withResolvers<T | string>()
  socket.setTimeout(STEP_MS_MAX, () => ended.resolve('ETIMEDOUT'))
  socket.once(event, () => ended.resolve(read()))
  socket.once('error', (error) => ended.resolve(errorCode(error) ?? error.message))
  socket.once('close', () => ended.resolve('ECONNRESET'))
  try {
    return await ended.promise
  } finally {
    socket.destroy()
  }
}
