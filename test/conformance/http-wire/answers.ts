// Reads the answers in what a connection gave, by their own framing.

export interface RawAnswer {
  readonly status: number
  /** Lines in lower case. */
  readonly headers: readonly string[]
  readonly body: string
}

/** Returns all complete answers. Recognises an answer to HEAD by its request id "sentinel" and by an answer that follows immediately. */
export function readAnswers(text: string): RawAnswer[] {
  const answers: RawAnswer[] = []
  for (let at = 0; at < text.length;) {
    const end = text.indexOf('\r\n\r\n', at)
    if (end === -1) break
    const [line = '', ...rest] = text.slice(at, end).split('\r\n')
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(line)?.[1])
    if (!status) throw new Error(`no status line: ${JSON.stringify(line.slice(0, 80))}`)
    const headers = rest.map((header) => header.toLowerCase())
    const start = end + 4
    const next = bodyEnd(text, start, status, headers)
    if (next === undefined) break
    answers.push({ status, headers, body: text.slice(start, next) })
    at = next
  }
  return answers
}

/** Returns the end of the body; undefined while it is incomplete. */
function bodyEnd(text: string, start: number, status: number, headers: readonly string[]): number | undefined {
  const isBodiless = status < 200 || status === 204 || status === 304
  if (isBodiless || headers.includes('x-request-id: sentinel') || text.startsWith('HTTP/1.1 ', start)) return start
  if (headers.includes('transfer-encoding: chunked')) {
    const end = text.indexOf('0\r\n\r\n', start)
    return end === -1 ? undefined : end + 5
  }
  const length = Number(headers.find((header) => header.startsWith('content-length: '))?.slice(16) ?? Number.NaN)
  if (Number.isNaN(length)) return start
  return text.length >= start + length ? start + length : undefined
}
