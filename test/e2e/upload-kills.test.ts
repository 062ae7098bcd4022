// An agent that is killed twenty times while an image comes, at moments that differ in every run.

import { expect } from 'bun:test'
import { startAgent } from '../support/agent-process.ts'
import { createCuttingProxy } from '../support/cutting-proxy.ts'
import { createRandom, runSeed } from '../support/properties.ts'
import { digestOfFile, makeSmallImage, requireImageTools, run } from '../support/small-image.ts'
import { createTemporaryFolder } from '../support/temporary-folder.ts'
import { startTusUpload } from '../support/tus-upload.ts'
import { until } from '../support/until.ts'

const MIB = 1024 * 1024
const KILLS = 20
/** Between two kills up to so many bytes go through; all kills together leave some of the image for the end. */
const BYTES_BETWEEN_MAX = 4 * MIB
const CHUNK_BYTES = 2 * MIB

requireImageTools()(
  'an upload survives SIGKILL of the agent at twenty random moments',
  async () => {
    const seed = runSeed()
    console.error(`seed: SLIPWAY_SEED=${seed}`)
    const random = createRandom(seed)
    await using folder = await createTemporaryFolder()
    const original = await makeSmallImage(folder.file('images'))
    const digest = await digestOfFile(original.qcow2)
    await using agent = await startAgent(folder.path)
    const port = (): number => Number(new URL(agent.url).port)
    await using proxy = await createCuttingProxy(port(), { bytesPerSecond: 60 * MIB })
    await using upload = startTusUpload({ url: proxy.url, file: original.qcow2, metadata: { name: 'killed' }, chunkSize: CHUNK_BYTES })
    await until('the upload has begun', () => upload.answers.length > 0)

    let killsWhileSending = 0
    for (let kill = 0; kill < KILLS; kill++) {
      const end = proxy.bytes.up + random.below(BYTES_BETWEEN_MAX)
      await until('some bytes went through', () => upload.hasEnded || proxy.bytes.up >= end)
      if (!upload.hasEnded) killsWhileSending++
      await agent.restart()
      proxy.setTarget(port())
    }
    const location = await upload.image()
    // On a machine that is busy with other things the upload may be faster than the one who kills.
    expect(killsWhileSending).toBeGreaterThanOrEqual(KILLS / 2)

    let acknowledged = 0
    for (const { method, status, offset } of upload.answers) {
      if (offset === null || status >= 300) continue
      if (method === 'HEAD') expect(offset).toBeGreaterThanOrEqual(acknowledged)
      acknowledged = Math.max(acknowledged, offset)
    }
    expect(acknowledged).toBe(Bun.file(original.qcow2).size)

    const id = location.split('/').at(-1) ?? ''
    await until('the digest is known', async () => (await agent.client.images.get(id)).digest)
    expect(await agent.client.images.get(id)).toMatchObject({ status: 'available', digest })
    const copy = folder.file('copy.qcow2')
    await run('curl', '-sS', '-o', copy, '-H', `Authorization: ${agent.headers()['authorization']}`, `${agent.url}/v1/images/${id}/content`)
    expect(await digestOfFile(copy)).toBe(digest)
    expect((await agent.client.images.list()).items).toHaveLength(1)
  },
  180_000,
)
