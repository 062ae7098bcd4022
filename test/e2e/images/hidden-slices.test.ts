// What a token can find out about slices by their digests, from a real agent that is killed and restarted.

import { expect, test } from 'bun:test'
import { createAgentClient } from '../../../protocol/client/client.ts'
import type { AgentClient } from '../../../protocol/client/agent-client.ts'
import type { Role } from '../../../protocol/access.ts'
import { digestBytes, sha256 } from '../../../protocol/slices/digest.ts'
import type { Digest } from '../../../protocol/slices/digest.ts'
import { CODEC_RAW, encodeEndFrame, encodeFrameHeader, encodeReferenceFrame } from '../../../protocol/slices/frames.ts'
import { problemCode, ProblemError } from '../../../protocol/problems.ts'
import { startAgent } from '../../support/agents/agent-process.ts'
import { createRandom } from '../../support/properties.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

const SLICE_BYTES = 64 * 1024

interface Piece {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly digest: Digest
}

async function piecesOf(seed: number, count: number): Promise<Piece[]> {
  const random = createRandom(seed)
  return Promise.all(
    Array.from({ length: count }, async () => {
      const bytes = new Uint8Array(random.bytes(SLICE_BYTES))
      return { bytes, digest: await sha256(bytes) }
    }),
  )
}

async function* brought(pieces: readonly Piece[]): AsyncGenerator<Uint8Array> {
  for (const { bytes, digest } of pieces) {
    yield encodeFrameHeader({ digest: digestBytes(digest), length: SLICE_BYTES, codec: CODEC_RAW, stored: bytes })
    yield bytes
  }
  yield encodeEndFrame()
}

async function* named(pieces: readonly Piece[]): AsyncGenerator<Uint8Array> {
  for (const { digest } of pieces) yield encodeReferenceFrame(digestBytes(digest), SLICE_BYTES)
  yield encodeEndFrame()
}

async function outcome(run: Promise<unknown>): Promise<string> {
  try {
    await run
    return 'done'
  } catch (error) {
    if (error instanceof ProblemError) return problemCode(error.problem)
    throw error
  }
}

/** Returns what a client can find out about slices: how many `missing` lists, and whether they are sent. */
async function learn(client: AgentClient, pieces: readonly Piece[]): Promise<{ missing: number; fetch: string }> {
  const digests = pieces.map(({ digest }) => digest)
  const receive = async (): Promise<void> => {
    for await (const { digest } of client.slices.fetch(digests)) expect(digest).toHaveLength(32)
  }
  return { missing: (await client.slices.missing(digests)).length, fetch: await outcome(receive()) }
}

test('slices of deleted images and of uploads of others look as if they were not stored, before and after a restart', async () => {
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path)
  const secrets: string[] = []
  for (const role of ['uploader', 'uploader', 'viewer'] as Role[]) {
    // Two tokens have the same name, because ownership depends on the id of a token.
    secrets.push((await agent.client.tokens.create({ name: role, role })).token)
  }
  const clients = (): AgentClient[] => secrets.map((token) => createAgentClient({ baseUrl: agent.url, token }))
  const pieces = await piecesOf(1, 8)
  const [image, other] = [pieces.slice(0, 4), pieces.slice(4)]
  const known = { missing: 0, fetch: 'done' }
  const unknown = { missing: 4, fetch: 'not-found' }

  let [ann, bob, vic] = clients() as [AgentClient, AgentClient, AgentClient]
  const first = await ann.uploads.create({ length: 4 * SLICE_BYTES, metadata: { name: 'one' } })
  const { imageId = '' } = await ann.uploads.sendSlices(first, 0, brought(image))
  await until('the image is available', async () => (await ann.images.get(imageId)).status === 'available')
  const unfinished = await ann.uploads.create({ length: 9 * SLICE_BYTES, metadata: { name: 'two' } })
  await ann.uploads.sendSlices(unfinished, 0, brought(other))
  const mine = await bob.uploads.create({ length: 8 * SLICE_BYTES, metadata: { name: 'three' } })

  for (const isRestarted of [false, true]) {
    if (isRestarted) {
      await agent.kill()
      await agent.restart()
      ;[ann, bob, vic] = clients() as [AgentClient, AgentClient, AgentClient]
    }
    expect(await Promise.all([ann, bob, vic].map((client) => learn(client, image)))).toEqual([known, known, known])
    expect(await Promise.all([ann, bob, vic].map((client) => learn(client, other)))).toEqual([known, unknown, unknown])
    expect(await outcome(bob.uploads.sendSlices(mine, 0, named(other)))).toBe('slice-missing')

    await agent.client.images.delete(imageId)
    expect(await Promise.all([ann, bob, vic, agent.client].map((client) => learn(client, image)))).toEqual([unknown, unknown, unknown, unknown])
    // No token can create a deleted image again from its digests.
    const rebuilt = await ann.uploads.create({ length: 4 * SLICE_BYTES, metadata: { name: 'rebuilt' } })
    expect(await outcome(ann.uploads.sendSlices(rebuilt, 0, named(image)))).toBe('slice-missing')
    expect((await ann.uploads.show(rebuilt))?.offset).toBe(0)
    await agent.client.images.restore(imageId)
  }
  // A token may reference slices that it sent itself.
  expect((await ann.uploads.sendSlices(unfinished, 4 * SLICE_BYTES, named(other))).offset).toBe(8 * SLICE_BYTES)
  // After the image was purged, its slices exist until gc runs, but no token can find them.
  await agent.client.images.delete(imageId, { permanent: true })
  expect(await learn(agent.client, image)).toEqual(unknown)
  // A client that sends the bytes can create the image again.
  expect((await bob.uploads.sendSlices(mine, 0, brought(image))).offset).toBe(4 * SLICE_BYTES)
  expect(await learn(bob, image)).toEqual(known)
  expect(await learn(ann, image)).toEqual(unknown)
}, 60_000)
