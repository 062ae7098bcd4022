// What a token learns of slices by their digests, against a real agent that is killed and started again.

import { expect, test } from 'bun:test'
import { createAgentClient } from '../../protocol/client.ts'
import type { AgentClient } from '../../protocol/client.ts'
import type { Role } from '../../protocol/access.ts'
import { digestBytes, sha256 } from '../../protocol/digest.ts'
import type { Digest } from '../../protocol/digest.ts'
import { CODEC_RAW, encodeEndFrame, encodeFrameHeader, encodeReferenceFrame } from '../../protocol/frames.ts'
import { problemCode, ProblemError } from '../../protocol/problems.ts'
import { startAgent } from '../support/agents/agent-process.ts'
import { createRandom } from '../support/properties.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import { until } from '../support/until.ts'

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

/** What a client learns of some slices: those that `missing` lists, and whether they are sent. */
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
    // Two of them have one name: what belongs to a token belongs to its id.
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
    // A deleted image is not rebuilt from its digests, by whoever it may be.
    const rebuilt = await ann.uploads.create({ length: 4 * SLICE_BYTES, metadata: { name: 'rebuilt' } })
    expect(await outcome(ann.uploads.sendSlices(rebuilt, 0, named(image)))).toBe('slice-missing')
    expect((await ann.uploads.show(rebuilt))?.offset).toBe(0)
    await agent.client.images.restore(imageId)
  }
  // What the token sent itself it may name again.
  expect((await ann.uploads.sendSlices(unfinished, 4 * SLICE_BYTES, named(other))).offset).toBe(8 * SLICE_BYTES)
  // Once the image is gone for good, its slices are there until gc comes, and still nobody learns of them.
  await agent.client.images.delete(imageId, { permanent: true })
  expect(await learn(agent.client, image)).toEqual(unknown)
  // With its bytes the image comes back.
  expect((await bob.uploads.sendSlices(mine, 0, brought(image))).offset).toBe(4 * SLICE_BYTES)
  expect(await learn(bob, image)).toEqual(known)
  expect(await learn(ann, image)).toEqual(unknown)
}, 60_000)
