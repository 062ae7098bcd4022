// Uploads one file through the bot while the bot and the agent are killed in turn, at different moments in every run. After each kill the offset is that of the
// agent and never lower than what was acknowledged, and at the end the image has the bytes of the file. The argument is the number of kills of each.
//
//   bun test/e2e/uploads/gateway-kills.ts 20

import { open } from 'node:fs/promises'
import { openTestBot } from '../../bot/fixture.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import { startBotProcess } from '../../support/agents/bot-process.ts'
import { PromiseBroken } from '../../support/agents/ledger.ts'
import { makeNoiseFile } from '../../support/images/noise-file.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { createRandom, runSeed } from '../../support/properties.ts'
import { until } from '../../support/until.ts'

const MIB = 1024 * 1024
/** Most bytes that pass between two kills. */
const BETWEEN_BYTES = 2 * MIB
const PIECE_BYTES = 64 * 1024
const TUS = { 'tus-resumable': '1.0.0' }

export interface GatewayKills {
  readonly bot: number
  readonly agent: number
  readonly length: number
  /** Requests that ended before their end. */
  readonly cut: number
}

/** Runs the kills. Throws PromiseBroken when something that was acknowledged is missing. */
export async function killDuringGatewayUpload(kills: number, seed: number, say: (line: string) => void = () => {}): Promise<GatewayKills> {
  const random = createRandom(seed)
  await using folder = await createTemporaryFolder()
  const length = (2 * kills + 1) * 2 * BETWEEN_BYTES + 12_345
  const digest = await makeNoiseFile(folder.file('noise.raw'), length, seed)
  await using file = await open(folder.file('noise.raw'))
  await using agent = await startAgent(folder.path)
  using bot = openTestBot(folder.file('home'))
  bot.fleet.registry.add({ name: 'edge-a', url: agent.url, token: TEST_ADMIN_TOKEN, zone: 'zone-1', provider: 'local', storeId: null }, 0)
  await using service = await startBotProcess(folder.file('home'))
  const link = await agent.client.links.create({ kind: 'upload', name: 'killed' })
  const page = service.proxy.url + bot.uploadPages.add({ store: 'edge-a', ...link })
  const created = await fetch(`${page}/files`, { method: 'POST', headers: { ...TUS, 'upload-length': String(length) } })
  if (created.status !== 201) throw new Error(`the upload was not created: ${created.status} ${await created.text()}`)
  const url = new URL(created.headers.get('location') ?? '', page).href

  let acknowledged = 0
  let sent = 0
  let holdAt = 0
  let cut = 0
  /** Kills while bytes were passing. */
  const done = { bot: 0, agent: 0 }
  let isDone = false
  let moved = Promise.withResolvers<void>()
  const note = (offset: number, what: string): void => {
    if (offset < acknowledged) throw new PromiseBroken(`${what} says ${offset} after ${acknowledged} bytes were acknowledged`)
    acknowledged = offset
  }
  const bodyFrom = (from: number): ReadableStream<Uint8Array<ArrayBuffer>> => {
    let at = from
    return new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        async pull(controller) {
          while (at >= holdAt) await moved.promise
          const piece = new Uint8Array(Math.min(PIECE_BYTES, length - at))
          await file.read(piece, 0, piece.length, at)
          at += piece.length
          sent = at
          controller.enqueue(piece)
          if (at >= length) controller.close()
        },
      },
      { highWaterMark: 0 },
    )
  }
  const sending = (async () => {
    while (acknowledged < length) {
      const head = await fetch(url, { method: 'HEAD', headers: TUS, signal: AbortSignal.timeout(20_000) }).catch(() => undefined)
      if (!head?.ok) {
        await Bun.sleep(50)
        continue
      }
      note(Number(head.headers.get('upload-offset')), 'HEAD')
      const headers = { ...TUS, 'content-type': 'application/offset+octet-stream', 'upload-offset': String(acknowledged) }
      const answer = await fetch(url, { method: 'PATCH', headers, body: bodyFrom(acknowledged) }).catch(() => undefined)
      if (answer?.status === 204) note(Number(answer.headers.get('upload-offset')), 'PATCH')
      else cut++
    }
  })().finally(() => (isDone = true))
  sending.catch(() => {})

  for (let i = 0; i < 2 * kills; i++) {
    holdAt = sent + BETWEEN_BYTES
    moved.resolve()
    moved = Promise.withResolvers()
    const at = sent + 1 + random.below(BETWEEN_BYTES - PIECE_BYTES)
    await until('bytes have passed', () => isDone || sent >= at)
    if (isDone) break
    if (i % 2 === 0) {
      done.bot++
      await service.restart()
    } else {
      done.agent++
      await agent.restart()
      bot.fleet.registry.change('edge-a', { url: agent.url })
    }
    // The client asks anew: its body was cut with the connection.
    holdAt = Math.max(holdAt, sent + PIECE_BYTES)
    moved.resolve()
    moved = Promise.withResolvers()
    say(`${i + 1} kills, ${acknowledged} of ${length} bytes acknowledged`)
  }
  holdAt = Number.POSITIVE_INFINITY
  moved.resolve()
  await sending
  const image = await until('the image is available', async () => {
    const found = (await agent.client.images.list()).items.find(({ name }) => name === 'killed')
    return found?.status === 'available' && found.digest !== null ? found : undefined
  })
  if (image.digest !== digest) throw new PromiseBroken(`the image is ${image.digest}, the file ${digest}`)
  return { ...done, length, cut }
}

if (import.meta.main) {
  const seed = runSeed()
  console.log(`SLIPWAY_SEED=${seed}`)
  console.log(JSON.stringify(await killDuringGatewayUpload(Number(process.argv[2] ?? 20), seed, (line) => console.log(line))))
}
