// An agent for benches, in a process of its own as users run it, with curl as the client on the same cores.

import { mkdirSync, statSync } from 'node:fs'
import type { Task } from '../../protocol/task.ts'
import type { AgentProcess } from '../support/agents/agent-process.ts'
import { startAgent } from '../support/agents/agent-process.ts'
import { until } from '../support/until.ts'
import type { Command } from './measure.ts'
import { timed } from './measure.ts'

/** Uploads that may run in parallel; the bench sends up to eight. */
const CONCURRENCY = 16

export async function startBenchAgent(folder: string, concurrency = CONCURRENCY): Promise<AgentProcess> {
  mkdirSync(folder, { recursive: true })
  return startAgent(folder, { config: `[transfer]\nupload-concurrency = ${concurrency}\ndownload-concurrency = ${concurrency}\n` })
}

/** Creates a tus upload at any server and returns its address. */
export async function createUpload(endpoint: string, length: number, name: string, headers: Readonly<Record<string, string>>): Promise<string> {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { ...headers, 'tus-resumable': '1.0.0', 'upload-length': String(length), 'upload-metadata': `name ${btoa(name)}` },
  })
  const location = response.headers.get('location')
  if (response.status !== 201 || location === null) throw new Error(`${endpoint} answered a creation with ${response.status}: ${await response.text()}`)
  return new URL(location, endpoint).href
}

/** Returns a curl command that sends a whole file in one PATCH. */
export function curlPatch(address: string, file: string, headers: Readonly<Record<string, string>>): Command {
  const all = { ...headers, 'Tus-Resumable': '1.0.0', 'Upload-Offset': '0', 'Content-Type': 'application/offset+octet-stream', Expect: '' }
  const words = Object.entries(all).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  return { line: ['curl', '-sS', '--fail-with-body', '-X', 'PATCH', '-T', file, ...words, '-D', '-', address] }
}

/** Uploads a file with curl. Returns the id of the image, and the seconds until the last response, which is durable, and `sync -f` of the folder. */
export async function uploadByCurl(agent: AgentProcess, file: string, name: string): Promise<{ seconds: number; id: string }> {
  const address = await createUpload(`${agent.url}/v1/uploads`, statSync(file).size, name, agent.headers())
  const { seconds, output } = await timed(curlPatch(address, file, agent.headers()), agent.folder)
  const id = /^content-location:\s*\S*\/v1\/images\/(\S+)/im.exec(output)?.[1] ?? ''
  if (id === '') throw new Error(`the upload of ${name} has no image: ${output}`)
  return { seconds, id }
}

/** Waits until an image can be read. */
export async function available(agent: AgentProcess, id: string): Promise<void> {
  await until(
    `${id} is available`,
    async () => {
      const { status, statusReason } = await agent.client.images.get(id)
      if (status === 'error') throw new Error(`${id} has failed: ${statusReason}`)
      return status === 'available'
    },
    WAIT_MS,
  )
}

/** Waits until a task has succeeded. */
export async function succeeded(agent: AgentProcess, { id }: Task): Promise<void> {
  await until(
    `task ${id} has ended`,
    async () => {
      const { state, error } = await agent.client.tasks.get(id)
      if (state === 'failed' || state === 'cancelled') throw new Error(`task ${id} ${state}: ${JSON.stringify(error)}`)
      return state === 'succeeded'
    },
    WAIT_MS,
  )
}

const WAIT_MS = 600_000
