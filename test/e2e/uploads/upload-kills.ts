// Kills the agent repeatedly while tus-js-client uploads one image, at different moments in every run, and checks after every start that
// the acknowledged bytes are present. The argument is the number of kills.
//
//   bun test/e2e/uploads/upload-kills.ts 100
//
// upload-kills.test.ts calls `killDuringUpload`. SLIPWAY_SEED repeats the bytes between the kills, but not their timing.

import { agentCommand } from '../../support/agents/agent-command.ts'
import { startAgent } from '../../support/agents/agent-process.ts'
import { createCuttingProxy } from '../../support/clients/cutting-proxy.ts'
import { PromiseBroken } from '../../support/agents/ledger.ts'
import { makeNoiseFile } from '../../support/images/noise-file.ts'
import { createRandom, runSeed } from '../../support/properties.ts'
import { digestOfFile, run } from '../../support/images/small-image.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { startTusUpload } from '../../support/clients/tus-upload.ts'
import type { TusAnswer } from '../../support/clients/tus-upload.ts'
import { until } from '../../support/until.ts'

const MIB = 1024 * 1024
/** Most bytes that pass before a kill, and most that pass until a late kill; then the proxy holds the rest. */
const BYTES_BETWEEN_MAX = 2 * MIB
const BYTES_LATE_MAX = MIB / 2
const BYTES_PER_SECOND = 24 * MIB
/** Length of one request; the response to each has an offset. */
const CHUNK_BYTES = MIB

export interface UploadKillsReport {
  readonly kills: number
  readonly length: number
  /** Number of offsets that the client received, from HEAD and from the responses to PATCH. */
  readonly heads: number
  readonly appends: number
  /** Bytes that reached the agent in addition to the length of the file, including headers. */
  readonly twiceBytes: number
}

/** Runs the kills. Throws PromiseBroken when something acknowledged is missing. */
export async function killDuringUpload(kills: number, seed: number, say: (line: string) => void): Promise<UploadKillsReport> {
  const random = createRandom(seed)
  await using folder = await createTemporaryFolder()
  const original = folder.file('noise.raw')
  // Longer than everything that passes before the last kill, so that the upload cannot end before it.
  const length = kills * (BYTES_BETWEEN_MAX + 2 * BYTES_LATE_MAX + MIB / 4) + MIB + 4321
  const digest = await makeNoiseFile(original, length, seed)
  await using agent = await startAgent(folder.path)
  const port = (): number => Number(new URL(agent.url).port)
  await using proxy = await createCuttingProxy(port(), { bytesPerSecond: BYTES_PER_SECOND })
  await using upload = startTusUpload({ url: proxy.url, file: original, metadata: { name: 'killed' }, chunkSize: CHUNK_BYTES })
  await until('the upload has begun', () => upload.answers.length > 0)

  for (let kill = 1; kill <= kills; kill++) {
    const end = proxy.bytes.up + random.below(BYTES_BETWEEN_MAX)
    proxy.holdAt(end + BYTES_LATE_MAX)
    await until('enough bytes have passed', () => upload.hasEnded || proxy.bytes.up >= end)
    if (upload.hasEnded) throw new PromiseBroken(`the upload ended before kill ${kill}: ${await upload.image()}`)
    await agent.kill()
    const told = upload.answers.length
    await agent.restart()
    proxy.setTarget(port())
    proxy.holdAt(proxy.bytes.up + BYTES_LATE_MAX)
    await until('the client has asked for the offset', () => upload.hasEnded || upload.answers.slice(told).some(isHead))
    requireKept(upload.answers)
    if (kill % 10 === 0) say(`${kill} kills, ${upload.answers.findLast(isHead)?.offset ?? 0} of ${length} bytes`)
  }
  proxy.holdAt(Number.POSITIVE_INFINITY)
  const location = await upload.image()
  requireKept(upload.answers)

  const id = location.split('/').at(-1) ?? ''
  const image = await until('the digest is known', async () => {
    const found = await agent.client.images.get(id)
    return found.digest === null ? undefined : found
  })
  const copy = folder.file('copy.raw')
  await run('curl', '-sS', '-o', copy, '-H', `Authorization: ${agent.headers()['authorization']}`, `${agent.url}/v1/images/${id}/content`)
  const { status, digest: told } = image
  const read = await digestOfFile(copy)
  if (status !== 'available' || told !== digest || read !== digest) throw new PromiseBroken(`the image is ${status}, ${told}, read as ${read}, not ${digest}`)
  const { items } = await agent.client.images.list()
  if (items.length !== 1) throw new PromiseBroken(`one upload became ${items.length} images`)
  await agent.kill()
  const scrub = await agentCommand(folder.path, ['scrub'])
  if (scrub.exitCode !== 0) throw new PromiseBroken(`scrub is not clean: ${scrub.stdout}${scrub.stderr}`)
  const heads = upload.answers.filter(isHead).length
  const appends = upload.answers.filter(({ method, status: code }) => method === 'PATCH' && code === 204).length
  return { kills, length, heads, appends, twiceBytes: proxy.bytes.up - length }
}

const isHead = ({ method, status }: TusAnswer): boolean => method === 'HEAD' && status === 200

/** Throws PromiseBroken when a HEAD returned a lower offset than an earlier response. */
function requireKept(answers: readonly TusAnswer[]): void {
  let acknowledged = 0
  for (const { method, status, offset } of answers) {
    if (offset === null || status >= 300) continue
    if (method === 'HEAD' && offset < acknowledged) throw new PromiseBroken(`HEAD returned ${offset} after ${acknowledged} bytes were acknowledged`)
    acknowledged = Math.max(acknowledged, offset)
  }
}

if (import.meta.main) {
  const seed = runSeed()
  console.log(`SLIPWAY_SEED=${seed}`)
  console.log(JSON.stringify(await killDuringUpload(Number(process.argv[2] ?? 100), seed, (line) => console.log(line))))
}
