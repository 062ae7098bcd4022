// Imports that are refused, by every way in and for every reason: each fails with its code, and leaves at most an image in error, which says why.
// Once that is deleted, gc leaves no slice and no file.

import { readdir, writeFile } from 'node:fs/promises'
import { expect, test } from 'bun:test'
import { problemCode } from '../../../protocol/problems.ts'
import type { ProblemCode } from '../../../protocol/problems.ts'
import type { Task } from '../../../protocol/task.ts'
import { startAgent } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { seededBytes } from '../../support/images/image-store.ts'
import { buildQcow2, changedQcow2 } from '../../support/images/qcow2-image.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

const LENGTH_MAX = 4_000_000
const CONFIG = `[imports]\nallow = ["127.0.0.1"]\ninbox = false\n[uploads]\nmax-length = "4 MB"\n`

interface Refusal {
  readonly bytes: Uint8Array
  readonly more?: Record<string, unknown>
  readonly code: ProblemCode
  /** Whether the image stays, in error, until somebody deletes it. */
  readonly leavesImage: boolean
}

const noise = seededBytes(300_000, 11)

const REFUSALS: Readonly<Record<string, Refusal>> = {
  'a backing file': { bytes: changedQcow2((view) => view.setBigUint64(8, 4096n)), code: 'unsafe-image', leavesImage: true },
  'a truncated qcow2': { bytes: buildQcow2().bytes.slice(0, 6 * 65_536), code: 'unsafe-image', leavesImage: true },
  'two formats at once': { bytes: Buffer.concat([buildQcow2().bytes, Buffer.from('conectix'), new Uint8Array(504)]), code: 'unsafe-image', leavesImage: true },
  'a qcow2 as raw': { bytes: buildQcow2().bytes, more: { format: 'raw' }, code: 'format-mismatch', leavesImage: true },
  'a disk as an installation image': { bytes: noise, more: { kind: 'iso' }, code: 'format-mismatch', leavesImage: true },
  'a vdi': {
    bytes: Buffer.concat([new Uint8Array(64), Buffer.from('7f10dabe', 'hex'), noise]),
    code: 'unsupported-format',
    leavesImage: true,
  },
  'another digest': { bytes: noise, more: { digest: `sha256:${'0'.repeat(64)}` }, code: 'digest-mismatch', leavesImage: true },
  'an empty file': { bytes: new Uint8Array(0), code: 'unsafe-image', leavesImage: true },
  'no compressed file': { bytes: noise, more: { decompress: true }, code: 'unsafe-image', leavesImage: true },
  'a damaged compressed file': { bytes: Bun.gzipSync(noise).slice(0, 200_000), more: { decompress: true }, code: 'unsafe-image', leavesImage: true },
  'a compressed bomb': { bytes: Bun.gzipSync(new Uint8Array(LENGTH_MAX + 1)), more: { decompress: true }, code: 'unsafe-image', leavesImage: true },
  'a file that is too long': { bytes: new Uint8Array(LENGTH_MAX + 1), code: 'payload-too-large', leavesImage: false },
}

test('refused imports from URLs and paths leave nothing once their images are deleted', async () => {
  await using folder = await createTemporaryFolder()
  await using files = await createTemporaryFolder()
  await using server = servedFiles()
  await using agent = await startAgent(folder.path, { config: CONFIG.replace('[imports]', `[imports]\nroots = ["${files.path}"]`) })
  const outcomes: Record<string, string> = {}
  const expected: Record<string, string> = {}
  const rows = Object.entries(REFUSALS).flatMap(([name, refusal], i) => [
    { key: `url: ${name}`, source: { url: `${server.url}/${encodeURIComponent(name)}` }, refusal },
    { key: `path: ${name}`, source: { path: files.file(`${i}.img`) }, refusal },
  ])
  for (const [i, { bytes }] of Object.values(REFUSALS).entries()) await writeFile(files.file(`${i}.img`), bytes)
  for (const { key, source, refusal } of rows) {
    const { code, image } = await imported(agent, { name: key, source, ...refusal.more })
    outcomes[key] = `${code}, ${image === null ? 'nothing' : 'an image in error'}`
    expected[key] = `${refusal.code}, ${refusal.leavesImage ? 'an image in error' : 'nothing'}`
    if (image !== null) await agent.client.images.delete(image, { permanent: true })
  }
  expect(outcomes).toEqual(expected)
  await expectEmpty(agent, folder.file('store'))
}, 180_000)

/** Serves the bytes of REFUSALS by their names. */
function servedFiles(): { readonly url: string } & AsyncDisposable {
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch: ({ url }) => new Response(new Uint8Array(REFUSALS[decodeURIComponent(new URL(url).pathname.slice(1))]?.bytes ?? [])),
  })
  return { url: `http://127.0.0.1:${server.port}`, [Symbol.asyncDispose]: () => server.stop(true) }
}

/** Imports a file, and returns the code of its refusal, and the id of the image that it left. */
async function imported(agent: AgentProcess, order: Record<string, unknown>): Promise<{ readonly code: string; readonly image: string | null }> {
  const headers = agent.headers({ 'content-type': 'application/json' })
  const answer = await fetch(`${agent.url}/v1/images`, { method: 'POST', headers, body: JSON.stringify(order) })
  const body = (await answer.json()) as Task
  if (answer.status !== 202) return { code: problemCode(body as never) ?? String(answer.status), image: null }
  const task = await until('the import has ended', async () => {
    const now = await agent.client.tasks.get(body.id)
    return now.endedAt === null ? undefined : now
  })
  const [image] = (await agent.client.images.list({ name: String(order['name']) })).items
  expect(image?.status ?? 'error').toBe('error')
  return { code: task.error ? (problemCode(task.error) ?? '') : task.state, image: image?.id ?? null }
}

/** Collects garbage, and checks that the store has nothing. */
async function expectEmpty(agent: AgentProcess, store: string): Promise<void> {
  const headers = agent.headers({ 'content-type': 'application/json' })
  const started = (await (await fetch(`${agent.url}/v1/store/cleanup`, { method: 'POST', headers, body: '{"dryRun":false}' })).json()) as Task
  await until('garbage is collected', async () => (await agent.client.tasks.get(started.id)).endedAt !== null)
  const state = await agent.client.store.get()
  expect({ slices: state.slices.count, uploads: state.uploads.active, images: state.usage?.total.count }).toEqual({ slices: 0, uploads: 0, images: 0 })
  expect(await readdir(`${store}/images`)).toEqual([])
  // What a finished upload became can be asked until it expires.
  const kept = await readdir(`${store}/uploads`, { recursive: true })
  expect(kept.filter((path) => path.includes('/') && !path.endsWith('/upload.json'))).toEqual([])
}
