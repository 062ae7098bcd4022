// A DNS server (RFC 1035) on loopback whose answers a test chooses for each question, and the program that starts a process which resolves with it.

import { createSocket } from 'node:dgram'
import { writeFile } from 'node:fs/promises'

const TYPE_A = 1
const TYPE_AAAA = 28
const HEADER_BYTES = 12

/** Addresses of one answer, IPv4 and IPv6 in text. */
export type DnsAnswer = readonly string[]

export interface DnsServer extends AsyncDisposable {
  /** Address of the server; its port is 53. */
  readonly address: string
  /** Names that were asked for IPv4 addresses, in order. */
  readonly asked: readonly string[]
  /**
   * Sets the answers of a name: the first one is given to the first look-up and so on, the last one to all that follow. A look-up asks for IPv4
   * and for IPv6 addresses; both questions get their part of the same answer. A name without answers does not exist.
   */
  answer(name: string, ...answers: readonly DnsAnswer[]): void
}

/** Starts the server on a loopback address of its own. Needs root rights for the port 53, which resolvers cannot change. */
export async function startDnsServer(): Promise<DnsServer> {
  const address = `127.${[0, 0].map(() => 2 + Math.floor(Math.random() * 250)).join('.')}.53`
  const answers = new Map<string, readonly DnsAnswer[]>()
  const asked: string[] = []
  const counts = new Map<string, number>()
  const socket = createSocket('udp4')
  socket.on('message', (query, from) => {
    const { name, type, end } = questionOf(query)
    const count = counts.get(`${type} ${name}`) ?? 0
    counts.set(`${type} ${name}`, count + 1)
    if (type === TYPE_A) asked.push(name)
    const all = answers.get(name)
    const found = (all?.[Math.min(count, all.length - 1)] ?? []).filter((text) => text.includes(':') === (type === TYPE_AAAA))
    const records = type === TYPE_A || type === TYPE_AAAA ? found.map((text) => recordOf(type, text)) : []
    socket.send(Buffer.concat([headerOf(query, all !== undefined, records.length), query.subarray(HEADER_BYTES, end), ...records]), from.port, from.address)
  })
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.bind(53, address, resolve)
  })
  return {
    address,
    asked,
    answer(name, ...all) {
      answers.set(name, all)
      for (const type of [TYPE_A, TYPE_AAAA]) counts.delete(`${type} ${name}`)
    },
    [Symbol.asyncDispose]: () => new Promise((resolve) => socket.close(() => resolve())),
  }
}

/** Returns the start of a command whose process resolves names with a server only: it gets a mount namespace with a resolv.conf of its own. */
export async function resolvingWith({ address }: Pick<DnsServer, 'address'>, file: string): Promise<string[]> {
  await writeFile(file, `nameserver ${address}\noptions timeout:5 attempts:1\n`)
  const script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, file]
}

/** The question of a query (RFC 1035 §4.1.2). Names in questions are not compressed. */
function questionOf(query: Buffer): { readonly name: string; readonly type: number; readonly end: number } {
  const labels: string[] = []
  let at = HEADER_BYTES
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 }
}

/** The header of an answer (RFC 1035 §4.1.1): an authoritative answer, with the code 3 for a name that does not exist. */
function headerOf(query: Buffer, isKnown: boolean, records: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  query.copy(header, 0, 0, 2)
  header.writeUInt16BE(0x8580 | (isKnown ? 0 : 3), 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(records, 6)
  return header
}

/** A record for the name of the question that nobody may keep: its time to live is 0. */
function recordOf(type: number, address: string): Buffer {
  const bytes = type === TYPE_A ? Buffer.from(address.split('.').map(Number)) : ipv6Bytes(address)
  const record = Buffer.alloc(12)
  record.writeUInt16BE(0xc000 | HEADER_BYTES, 0)
  record.writeUInt16BE(type, 2)
  record.writeUInt16BE(1, 4)
  record.writeUInt16BE(bytes.byteLength, 10)
  return Buffer.concat([record, bytes])
}

function ipv6Bytes(address: string): Buffer {
  const [head = '', tail] = address.split('::')
  const words = (text: string): number[] => (text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16)))
  const [start, end] = [words(head), words(tail ?? '')]
  const bytes = Buffer.alloc(16)
  for (const [i, word] of [...start, ...Array.from({ length: 8 - start.length - end.length }, () => 0), ...end].entries()) bytes.writeUInt16BE(word, i * 2)
  return bytes
}
