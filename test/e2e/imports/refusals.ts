// Files that are refused as images, each with its reason, and what must be left of them: nothing. For imports, the inbox, uploads and syncs.

import { readdir, writeFile } from 'node:fs/promises'
import { expect } from 'bun:test'
import { problemCode } from '../../../protocol/problems.ts'
import type { ProblemCode } from '../../../protocol/problems.ts'
import type { Task } from '../../../protocol/task.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { seededBytes } from '../../support/images/image-store.ts'
import { buildQcow2, changedQcow2 } from '../../support/images/qcow2-image.ts'
import { until } from '../../support/until.ts'

const LENGTH_MAX = 4_000_000
export const CONFIG = `[imports]\nallow = ["127.0.0.1", "localhost"]\n[uploads]\nmax-length = "4 MB"\n`

export interface Refusal {
  readonly bytes: Uint8Array
  readonly more?: Record<string, unknown>
  readonly code: ProblemCode
  /** What the error of the task says. */
  readonly says: string
  /** Whether the image stays, in error, until somebody deletes it. */
  readonly leavesImage: boolean
}

const noise = seededBytes(300_000, 11)

export const REFUSALS: Readonly<Record<string, Refusal>> = {
  'a backing file': {
    bytes: changedQcow2((view) => view.setBigUint64(8, 4096n)),
    code: 'unsafe-image',
    says: 'Unsafe image: it has a backing file.',
    leavesImage: true,
  },
  'a truncated qcow2': {
    bytes: buildQcow2().bytes.slice(0, 6 * 65_536),
    code: 'unsafe-image',
    says: 'Unsafe image: a data cluster is beyond the end of the file.',
    leavesImage: true,
  },
  'two formats at once': {
    bytes: Buffer.concat([buildQcow2().bytes, Buffer.from('conectix'), new Uint8Array(504)]),
    code: 'unsafe-image',
    says: 'Unsafe image: its bytes are valid as both',
    leavesImage: true,
  },
  'a qcow2 as raw': {
    bytes: buildQcow2().bytes,
    more: { format: 'raw' },
    code: 'format-mismatch',
    says: 'Format mismatch: declared as raw, but its bytes are qcow2.',
    leavesImage: true,
  },
  'a disk as an installation image': {
    bytes: noise,
    more: { kind: 'iso' },
    code: 'format-mismatch',
    says: 'Format mismatch: An image of the kind iso is iso, not raw.',
    leavesImage: true,
  },
  'a vdi': {
    bytes: Buffer.concat([new Uint8Array(64), Buffer.from('7f10dabe', 'hex'), noise]),
    code: 'unsupported-format',
    says: 'Format not supported: the file is a disk of VirtualBox (vdi).',
    leavesImage: true,
  },
  'another digest': {
    bytes: noise,
    more: { digest: `sha256:${'0'.repeat(64)}` },
    code: 'digest-mismatch',
    says: 'Digest mismatch: expected sha256:0000',
    leavesImage: true,
  },
  'an empty file': { bytes: new Uint8Array(0), code: 'invalid-input', says: 'The upload was empty', leavesImage: true },
  'no compressed file': {
    bytes: noise,
    more: { decompress: true },
    code: 'invalid-input',
    says: 'The file is not compressed with gzip, xz or zstd',
    leavesImage: true,
  },
  'a damaged compressed file': {
    bytes: Bun.gzipSync(noise).slice(0, 200_000),
    more: { decompress: true },
    code: 'unsafe-image',
    says: 'The compressed file cannot be unpacked',
    leavesImage: true,
  },
  'a compressed bomb': {
    bytes: Bun.gzipSync(new Uint8Array(LENGTH_MAX + 1)),
    more: { decompress: true },
    code: 'unsafe-image',
    says: 'The compressed file cannot be unpacked',
    leavesImage: true,
  },
  'a file that is too long': {
    bytes: new Uint8Array(LENGTH_MAX + 1),
    code: 'payload-too-large',
    says: '4000001 bytes exceed the limit of 4000000 bytes',
    leavesImage: false,
  },
}

/** Writes the files of REFUSALS with these names to a folder, and returns their paths below it. */
export async function writeRefused(folder: string, names: readonly string[]): Promise<string[]> {
  const files = names.map((_name, i) => `${i}.img`)
  for (const [i, file] of files.entries()) await writeFile(`${folder}/${file}`, REFUSALS[names[i] ?? '']?.bytes ?? '')
  return files
}

/** Imports one file of REFUSALS from a source, checks why it fails and deletes the image that it leaves. */
export async function expectRefused(agent: AgentProcess, name: string, source: Record<string, unknown>): Promise<void> {
  const refusal = REFUSALS[name]
  if (!refusal) throw new Error(`${name} is not refused`)
  const { image, ...outcome } = await imported(agent, { name, source, ...refusal.more })
  expect({ name, source: Object.keys(source)[0], ...outcome }).toEqual({
    name,
    source: Object.keys(source)[0],
    code: refusal.code,
    detail: expect.stringContaining(refusal.says),
    leavesImage: refusal.leavesImage,
  })
  if (image !== null) await agent.client.images.delete(image, { permanent: true })
}

/** Imports a file, and returns the error of its task, and the id of the image that it left. */
async function imported(
  agent: AgentProcess,
  order: Record<string, unknown>,
): Promise<{ code: string; detail: string; leavesImage: boolean; image: string | null }> {
  const headers = agent.headers({ 'content-type': 'application/json' })
  const answer = await fetch(`${agent.url}/v1/images`, { method: 'POST', headers, body: JSON.stringify(order) })
  const body = (await answer.json()) as Task
  if (answer.status !== 202) throw new Error(`the import of ${String(order['name'])} was not started: ${answer.status} ${JSON.stringify(body)}`)
  const task = await until('the import has ended', async () => {
    const now = await agent.client.tasks.get(body.id)
    return now.endedAt === null ? undefined : now
  })
  const [image] = (await agent.client.images.list({ name: String(order['name']) })).items
  expect(image?.status ?? 'error').toBe('error')
  return {
    code: task.error ? problemCode(task.error) : task.state,
    detail: task.error?.detail ?? '',
    leavesImage: image !== undefined,
    image: image?.id ?? null,
  }
}

/** Collects garbage, and checks that the store on this mount path has nothing. */
export async function expectEmpty(agent: AgentProcess, store: string): Promise<void> {
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
