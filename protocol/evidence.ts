// The evidence of a store: one archive of text files for whoever looks for a fault. The agent makes it, and the bot where the agent does not answer.
// Every text passes `maskSecrets`, and every file has a bound, within which the newest lines are kept.

/** Most bytes of an archive, compressed or not: the sum of the bounds of its files, with room for names and README.txt. */
export const EVIDENCE_BYTES_MAX = 8 * 1024 * 1024
export const EVIDENCE_MEDIA_TYPE = 'application/gzip'
/** Longest line that is masked, in characters, and the characters of it that are kept. A longer line is left out: a cut could leave the half of a secret. */
const LINE_READ_MAX = 16 * 1024
const LINE_KEPT_MAX = 8 * 1024
/** Lines after which the event loop gets a turn. */
const LINES_PER_TURN = 200
const MASK = '***'

/** One text file of an archive. */
export interface EvidenceFile {
  readonly name: string
  readonly text: string
  /** What it holds, for README.txt. */
  readonly about: string
}

/** What an archive may hold of one kind. */
export interface EvidencePart {
  readonly name: string
  readonly about: string
  /** Longest text in bytes. */
  readonly bytesMax: number
  /** Yields lines, the newest first; reads no more than are taken. */
  read(): Iterable<string> | Promise<Iterable<string>>
}

/** A value that is one line as JSON. */
export function* jsonLines(values: Iterable<unknown>): Generator<string> {
  for (const value of values) yield JSON.stringify(value)
}

/** A value as indented JSON, whose lines stay together. */
export function jsonDocument(value: unknown): string[] {
  return JSON.stringify(value, undefined, 2).split('\n')
}

/**
 * Returns the file of a part: its first lines up to its bound, without secrets. `secrets` are texts that may appear in none of them. `turn` gives the
 * event loop a turn.
 */
export async function readPart(part: EvidencePart, secrets: readonly string[], turn: () => Promise<void>): Promise<EvidenceFile> {
  const kept: string[] = []
  let bytes = 0
  let isCut = false
  const encoder = new TextEncoder()
  for (const line of await part.read()) {
    const masked = line.length > LINE_READ_MAX ? `(a line of ${line.length} characters is left out)` : maskSecrets(line, secrets).slice(0, LINE_KEPT_MAX)
    const length = encoder.encode(masked).byteLength + 1
    if (bytes + length > part.bytesMax) {
      isCut = true
      break
    }
    kept.push(masked)
    bytes += length
    if (kept.length % LINES_PER_TURN === 0) await turn()
  }
  const text = kept.length === 0 ? '' : `${kept.join('\n')}\n`
  return { name: part.name, text, about: isCut ? `${part.about}; cut at ${part.bytesMax} bytes` : part.about }
}

/** Returns the text of README.txt. */
export function evidenceReadme(head: readonly string[], files: readonly EvidenceFile[]): string {
  const width = Math.max(...files.map(({ name }) => name.length))
  return [
    ...head,
    '',
    'Tokens, passwords, keys and the queries of addresses are replaced by ***. Logs, events and tasks have the newest line first.',
    '',
    ...files.map(({ name, about }) => `${name.padEnd(width)}  ${about}`),
    '',
  ].join('\n')
}

/**
 * Returns a text without secrets: the given ones, tokens of Slipway, credentials of HTTP, private keys, user names, passwords and queries in addresses,
 * and members of JSON that are named after a secret.
 */
export function maskSecrets(text: string, secrets: readonly string[] = []): string {
  let masked = text
  for (const secret of secrets) {
    if (secret === '') continue
    masked = masked.replaceAll(secret, MASK).replaceAll(JSON.stringify(secret).slice(1, -1), MASK)
  }
  return masked
    .replaceAll(/-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^"']*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|(?=["'])|$)/g, MASK)
    .replaceAll(
      /("[\w-]{0,40}(?:password|passphrase|secret|token|private[-_]?key|authorization|cookie|signature)"\s{0,4}:\s{0,4})"(?:[^"\\]|\\.)*"?/gi,
      `$1"${MASK}"`,
    )
    .replaceAll(
      /\b(https?|s?ftp|tus|wss?):\/\/(?:[^\s"'@/\\]*@)?([^\s"'?#\\]*)([?#][^\s"'\\]*)?/gi,
      (_all, scheme: string, place: string, rest?: string) => `${scheme}://${place}${rest === undefined ? '' : `?${MASK}`}`,
    )
    .replaceAll(/([?&](?:link|token|sig|signature|key|x-amz-[a-z-]{1,40})=)[^\s"'&\\]+/gi, `$1${MASK}`)
    .replaceAll(/\b(Bearer|Basic)\s{1,4}[^\s"'\\]+/gi, `$1 ${MASK}`)
    .replaceAll(/\b(?:slp|slg)_[A-Za-z0-9_-]{8,}/g, MASK)
}
