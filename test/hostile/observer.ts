// An honest client that runs during an attack, in a process of its own so that the attacker's event loop does not delay it. It requests
// health every few milliseconds and uploads and downloads small images one after the other until standard input ends. It prints a line for
// each completed round trip and for every fifty health responses, and at the end its observation as one JSON object.
//
//   bun test/hostile/observer.ts URL TOKEN

import { createAgentClient } from '../../protocol/client/client.ts'
import { createRandom } from '../support/properties.ts'
import { until } from '../support/until.ts'

/** What the honest client observed. */
export interface Observation {
  /** Time until the response to each health request, in milliseconds. */
  readonly healthMs: readonly number[]
  /** Images that were uploaded, became available and were downloaded with the same bytes. */
  readonly roundTrips: number
  /** Errors, each in one sentence. */
  readonly failures: readonly string[]
}

const HEALTH_PAUSE_MS = 10
/** Health responses for each printed line. */
export const HEALTH_ANSWERS_PER_LINE = 50
/** Length of an image of a round trip, in bytes; its bytes are random. */
export const IMAGE_BYTES = 1024 * 1024

const [url = '', token = ''] = process.argv.slice(2)
const client = createAgentClient({ baseUrl: url, token })
const headers = { authorization: `Bearer ${token}`, 'tus-resumable': '1.0.0' }
const random = createRandom(Date.now())
const healthMs: number[] = []
const failures: string[] = []
let roundTrips = 0
let isOver = false

async function watchHealth(): Promise<void> {
  while (!isOver) {
    const startMs = performance.now()
    try {
      await (await fetch(`${url}/v1/health`)).arrayBuffer()
      healthMs.push(performance.now() - startMs)
      if (healthMs.length % HEALTH_ANSWERS_PER_LINE === 0) console.log('health')
    } catch (error) {
      failures.push(`health: ${String(error)}`)
    }
    await Bun.sleep(HEALTH_PAUSE_MS)
  }
}

async function roundTrip(): Promise<void> {
  const bytes = random.bytes(IMAGE_BYTES)
  const created = await fetch(`${url}/v1/uploads`, {
    method: 'POST',
    headers: {
      ...headers,
      'upload-length': String(bytes.byteLength),
      'upload-metadata': `name ${btoa('honest')}`,
      'content-type': 'application/offset+octet-stream',
    },
    body: bytes,
  })
  if (created.status !== 201) throw new Error(`the upload was answered with ${created.status}: ${await created.text()}`)
  const id = created.headers.get('content-location')?.split('/').at(-1) ?? ''
  await until('the image is available', async () => (await client.images.get(id)).status === 'available', 60_000)
  const content = await fetch(`${url}/v1/images/${id}/content`, { headers })
  if (!Buffer.from(await content.arrayBuffer()).equals(bytes)) throw new Error('the download differs from the upload')
}

async function transfer(): Promise<void> {
  while (!isOver) {
    try {
      await roundTrip()
      roundTrips++
      console.log('round trip')
    } catch (error) {
      failures.push(`transfer: ${String(error)}`)
      await Bun.sleep(HEALTH_PAUSE_MS)
    }
  }
}

if (import.meta.main) {
  const ended = (async () => {
    for await (const _ of Bun.stdin.stream()) continue
    isOver = true
  })()
  await Promise.all([watchHealth(), transfer(), ended])
  console.log(JSON.stringify({ healthMs, roundTrips, failures } satisfies Observation))
}
