// Fuzzes concatenation: the Upload-Concat header, and real uploads over a temporary store.

import { afterAll, expect, test } from 'bun:test'
import { parseConcat } from '../../agent/uploads/concatenation.ts'
import { problemCode, ProblemError } from '../../protocol/problems.ts'
import { fuzz, FUZZ_TIMEOUT_MS } from '../support/fuzz.ts'
import type { Random } from '../support/properties.ts'
import { create, patch, someBytes } from '../support/clients/upload-requests.ts'
import { startUploadServer } from '../support/agents/upload-server.ts'
import type { UploadServer } from '../support/agents/upload-server.ts'

const ID = (i: number): string => `upl_${String(i).padStart(26, '0')}`

/** Returns the parts that a header names; undefined when it is refused as it should be. */
function parts(text: string): readonly string[] | undefined {
  try {
    const concat = parseConcat(text)
    return concat.kind === 'final' ? concat.parts : []
  } catch (error) {
    if (!(error instanceof ProblemError) || problemCode(error.problem) !== 'invalid-input') throw error
    return undefined
  }
}

function header(urls: readonly string[], random: Random): Uint8Array {
  if (random.chance(0.05)) return Buffer.from('partial')
  const list = Array.from({ length: random.below(random.pick([3, 12, 30])) }, () => random.pick(urls))
  return Buffer.from(`${random.pick(['final;', 'final; ', 'final ;', 'FINAL;', 'final'])}${list.join(random.pick([' ', '  ', ',']))}`, 'latin1')
}

test(
  'the header Upload-Concat',
  async () => {
    const urls = [`/v1/uploads/${ID(1)}`, `http://host:1/v1/uploads/${ID(2)}/`, `https://host/a/v1/uploads/${ID(3)}?x#y`, `/v1/uploads/upl_x`, ID(4)]
    const result = await fuzz({
      name: 'the header Upload-Concat',
      corpus: [Buffer.from('partial'), Buffer.from(`final;${urls.slice(0, 3).join(' ')}`)],
      share: 0.5,
      lengthMax: 16 * 1024,
      make: (random) => header(urls, random),
      run(input) {
        const found = parts(Buffer.from(input).toString('latin1'))
        if (!found) return false
        const again = found.length === 0 ? found : parts(`final;${found.map((id) => `/v1/uploads/${id}`).join(' ')}`)
        if (!Bun.deepEquals(again, found)) throw new Error('the parts do not survive encoding')
        return true
      },
    })
    expect(result.accepted).toBeGreaterThan(0)
  },
  FUZZ_TIMEOUT_MS,
)

interface Scene {
  readonly server: UploadServer
  /** URLs of finished parts, of other uploads, and of things that are not uploads. */
  readonly urls: readonly string[]
  /** Content of the finished parts by id. */
  readonly contents: ReadonlyMap<string, Uint8Array>
}

async function openScene(random: Random): Promise<Scene> {
  const server = await startUploadServer({ entriesMax: 200 })
  const contents = new Map<string, Uint8Array>()
  const urls = [`/v1/uploads/${ID(1)}`, '/v1/images/x']
  for (let i = 0; i < 6; i++) {
    const bytes = someBytes(random.pick([0, 1, 4096, 65_536, 65_537, 200_000]), i + 1)
    const url = await create(server, bytes.byteLength, { 'Upload-Concat': 'partial' })
    if (bytes.byteLength > 0) await patch(server, url, 0, bytes)
    urls.push(url, url, `http://127.0.0.1:${server.port}${url}`)
    contents.set(url.split('/').at(-1) ?? '', bytes)
  }
  const unfinished = await create(server, 100_000, { 'Upload-Concat': 'partial' })
  await patch(server, unfinished, 0, someBytes(1000))
  urls.push(unfinished, await create(server, 1000))
  return { server, urls, contents }
}

test(
  'uploads that are concatenated',
  async () => {
    let scene: Scene | undefined
    afterAll(() => scene?.server[Symbol.asyncDispose]())
    let uses = 0
    const result = await fuzz({
      name: 'uploads that are concatenated',
      corpus: [Buffer.from('partial'), Buffer.from(`final;/v1/uploads/${ID(1)}`)],
      share: 0.5,
      lengthMax: 8 * 1024,
      isSlow: true,
      make: (random) => header(scene?.urls ?? ['/v1/uploads/x'], random),
      async run(input, random) {
        if (uses++ % 200 === 0) {
          await scene?.server[Symbol.asyncDispose]()
          scene = await openScene(random)
        }
        if (!scene) throw new Error('there is no server')
        // Text that no HTTP client can send in a header does not reach an agent either.
        const text = Buffer.from(input)
          .toString('latin1')
          .replaceAll(/[^\u0020-\u007e\u0080-\u00ff]/g, ' ')
          .trim()
        return checkConcat(scene, text, random)
      },
    })
    expect(result.iterations).toBeGreaterThan(0)
  },
  FUZZ_TIMEOUT_MS,
)

async function checkConcat({ server, contents }: Scene, text: string, random: Random): Promise<boolean> {
  const named = parts(text)
  const isPartial = named?.length === 0
  const answer = await server.ask('POST', '/v1/uploads', { 'Upload-Concat': text, ...(isPartial || random.chance(0.05) ? { 'Upload-Length': '10' } : {}) })
  const body = await answer.text()
  if (![201, 400, 404, 413].includes(answer.status)) throw new Error(`${text} was answered with ${answer.status}: ${body}`)
  if (answer.status !== 201) return true
  if (!named) throw new Error(`${text} was refused by the parser and accepted by the server`)
  const url = answer.headers.get('location') ?? ''
  if (!isPartial) {
    const whole = Buffer.concat(named.map((id) => contents.get(id) ?? missing(id)))
    const image = answer.headers.get('content-location')?.slice('/v1/images/'.length)
    if (image === undefined) throw new Error(`${text} created no image`)
    if (Buffer.compare(server.content(image), whole) !== 0) throw new Error(`${text} does not have the bytes of its parts`)
  }
  const deleted = await server.ask('DELETE', url)
  if (deleted.status !== 204) throw new Error(`DELETE was answered with ${deleted.status}`)
  return true
}

function missing(id: string): never {
  throw new Error(`a final upload was created from ${id}, which is not a finished part`)
}
