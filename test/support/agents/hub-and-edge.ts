// Two agents: a hub with an image, and an edge whose only origin is the hub, behind a proxy that counts, limits and cuts. Damages what the edge stores.

import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Task } from '../../../protocol/task.ts'
import { createCuttingProxy } from '../clients/cutting-proxy.ts'
import type { CuttingProxy } from '../clients/cutting-proxy.ts'
import { createTemporaryFolder } from '../machine/temporary-folder.ts'
import { until } from '../until.ts'
import { startAgent } from './agent-process.ts'
import type { AgentProcess, AgentProcessOptions } from './agent-process.ts'

export interface HubAndEdge extends AsyncDisposable {
  readonly hub: AgentProcess
  readonly edge: AgentProcess
  /** Between the edge and the hub. */
  readonly line: CuttingProxy
  /** Viewer token of the hub, which the edge uses. */
  readonly token: string
  /** Configuration of the edge with its origin. */
  readonly config: string
}

/** Starts both. `config` is additional TOML of the edge. */
export async function startHubAndEdge(options: AgentProcessOptions = {}): Promise<HubAndEdge> {
  await using stack = new AsyncDisposableStack()
  const folders = { hub: stack.use(await createTemporaryFolder()), edge: stack.use(await createTemporaryFolder()) }
  const hub = stack.use(await startAgent(folders.hub.path))
  const line = stack.use(await createCuttingProxy(Number(new URL(hub.url).port)))
  const { token } = await hub.client.tokens.create({ name: 'edge', role: 'viewer' })
  const config = `${options.config ?? ''}\n[[origins]]\nname = "hub"\nurl = "${line.url}"\ntoken = "${token}"\n`
  const edge = stack.use(await startAgent(folders.edge.path, { ...options, config }))
  const owned = stack.move()
  return { hub, edge, line, token, config, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** Adds an image and waits until it is available; returns its id. */
export async function addImage(agent: AgentProcess, bytes: Uint8Array<ArrayBuffer>, name = 'debian'): Promise<string> {
  const response = await fetch(`${agent.url}/v1/uploads`, {
    method: 'POST',
    headers: agent.headers({
      'tus-resumable': '1.0.0',
      'upload-length': String(bytes.byteLength),
      'upload-metadata': `name ${btoa(name)}`,
      'content-type': 'application/offset+octet-stream',
    }),
    body: bytes,
  })
  const id = response.headers.get('content-location')?.split('/').at(-1) ?? ''
  await until(`${name} has its digest`, async () => (await agent.client.images.get(id)).digest)
  return id
}

/** Copies an image of the hub to the edge by a sync, over a connection of its own. */
export async function copyToEdge({ hub, edge, token }: HubAndEdge, id: string): Promise<void> {
  const task = await edge.client.sync({ source: { url: hub.url, token }, images: [id] })
  await untilEnded(edge, task.id)
  await until('the copy is available', async () => (await edge.client.images.get(id)).status === 'available')
}

/** Waits for the end of a task and returns it. */
export function untilEnded(agent: AgentProcess, id: string): Promise<Task> {
  return until('the task has ended', async () => {
    const task = await agent.client.tasks.get(id)
    return task.endedAt === null ? undefined : task
  })
}

/** Flips a bit at each of these offsets of the only pack of a stopped or running agent. */
export async function damagePack(agent: AgentProcess, offsets: readonly number[]): Promise<void> {
  const packs = join(agent.folder, 'store', 'packs')
  const [name, ...others] = (await readdir(packs, { recursive: true })).filter((path) => path.endsWith('.pack'))
  if (name === undefined || others.length > 0) throw new Error(`the store has not one pack: ${[name, ...others].join()}`)
  const file = await open(join(packs, name), 'r+')
  const byte = Buffer.alloc(1)
  for (const offset of offsets) {
    await file.read(byte, 0, 1, offset)
    await file.write(Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, offset)
  }
  await file.close()
}

/** Returns the content of an image, or the status of a refusal; throws when the connection breaks. */
export async function contentOf(agent: AgentProcess, id: string, headers: Readonly<Record<string, string>> = {}): Promise<Buffer | number> {
  const response = await fetch(`${agent.url}/v1/images/${id}/content`, { headers: agent.headers(headers) })
  const body = Buffer.from(await response.arrayBuffer())
  return response.ok ? body : response.status
}
