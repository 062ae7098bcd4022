// Another store, in an ordinary folder, whose images the recorded agent copies. It runs while states are tried, because an interrupted sync
// resumes from it.

import { TEST_ADMIN_TOKEN, startAgent } from '../support/agents/agent-process.ts'
import { createRandom } from '../support/properties.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import { History } from './history.ts'
import { createRecordedClient } from './recorded-client.ts'
import type { SyncSource } from './workload.ts'

const IMAGES = 6
const IMAGE_BYTES = 3 * 1024 * 1024

/** Starts an agent with a few images. */
export async function startSyncSource(seed: number): Promise<SyncSource & AsyncDisposable> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const agent = stack.use(await startAgent(folder.path))
  const history = new History(() => 0)
  const client = createRecordedClient(agent, history)
  const random = createRandom(seed)
  for (let number = 0; number < IMAGES; number++) await client.createWhole(`source ${number}`, new Uint8Array(random.bytes(IMAGE_BYTES)))
  const images = history.images.map(({ id, name, bytes }) => ({ id: id ?? '', name, bytes }))
  const owned = stack.move()
  return { url: agent.url, token: TEST_ADMIN_TOKEN, images, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
