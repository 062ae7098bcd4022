// Sends a file as slices to a real agent: a second version, links that are cut, agents that are killed, slices that gc removes
// meanwhile, and servers that accept plain bytes only.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'
import { appendFileSync, readdirSync, readFileSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import type { CutterParameters } from '../../../protocol/slices/cutter.ts'
import type { FileOrder, SentFile } from '../../../bot/commands/command.ts'
import { RETRY_DELAYS_MS } from '../../../bot/console/delta-upload.ts'
import { createFileSender } from '../../../bot/console/send-file.ts'
import type { OpenBot } from '../../../bot/open.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { createCuttingProxy } from '../../support/clients/cutting-proxy.ts'
import { createRandom, runSeed } from '../../support/properties.ts'
import type { Random } from '../../support/properties.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'
import { openTestBot, runCommand, runJson } from '../../bot/fixture.ts'

setDefaultTimeout(120_000)

const MIB = 1024 * 1024

let folder: TemporaryFolder
let agent: AgentProcess
let bot: OpenBot
let cutter: CutterParameters | undefined
let count = 0
let streams = 0
const seed = runSeed()

/** Returns a random source that no other test of this file uses, because the shared store deduplicates equal content. */
const newRandom = (): Random => createRandom(seed + streams++)

beforeAll(async () => {
  folder = await createTemporaryFolder()
  agent = await startAgent(folder.path, { config: '[images]\ndeletion = "immediate"\n' })
  cutter = (await agent.client.store.get()).cutter
  bot = openTestBot(folder.file('home'))
  expect((await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')).code).toBe(0)
})

afterAll(async () => {
  bot[Symbol.dispose]()
  await agent[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

/** Returns content like that of an image: random ranges, text that compresses, zeros, and ranges that occur twice. */
function makeContent(random: Random, length: number): Buffer {
  const parts: Buffer[] = []
  for (let left = length; left > 0;) {
    const size = Math.min(left, (1 + random.below(64)) * 16_384)
    const kind = random.below(4)
    const again = parts[random.below(parts.length || 1)]
    if (kind === 0) parts.push(Buffer.alloc(size))
    else if (kind === 1) parts.push(Buffer.alloc(size, `a line of text ${random.below(1000)}\n`))
    else if (kind === 2 && again && again.length <= left) parts.push(again)
    else parts.push(random.bytes(size))
    left -= parts.at(-1)?.length ?? 0
  }
  return Buffer.concat(parts)
}

/** Returns the same content with some blocks overwritten. */
function secondVersion(random: Random, content: Buffer, changes: number): Buffer {
  const changed = Buffer.from(content)
  for (let i = 0; i < changes; i++) random.bytes(4096).copy(changed, random.below(content.length / 4096) * 4096)
  return changed
}

async function writeFile(content: Uint8Array): Promise<string> {
  const path = folder.file(`file-${count++}.raw`)
  await Bun.write(path, content)
  return path
}

function send(path: string, url: string, more: Partial<FileOrder> = {}): Promise<SentFile> {
  const order: FileOrder = {
    path,
    url,
    token: TEST_ADMIN_TOKEN,
    metadata: { name: path.slice(path.lastIndexOf('/') + 1) },
    cutter,
    onProgress() {},
    ...more,
  }
  return createFileSender(bot.database, systemClock).send(order)
}

async function contentOf(imageId = ''): Promise<Buffer> {
  await until('the image was inspected', async () => (await agent.client.images.get(imageId)).status === 'available')
  const response = await fetch(`${agent.url}/v1/images/${imageId}/content`, { headers: agent.headers() })
  expect(response.status).toBe(200)
  return Buffer.from(await response.arrayBuffer())
}

describe('image upload', () => {
  test('of a second version sends less than a quarter of its bytes, and reports the saving', async () => {
    const random = newRandom()
    const first = Buffer.concat([random.bytes(16 * MIB), Buffer.alloc(8 * MIB), random.bytes(8 * MIB + 777)])
    const second = secondVersion(random, first, 12)
    const proxy = await createCuttingProxy(Number(new URL(agent.url).port))
    await using _proxy = proxy
    expect((await runCommand(bot, 'image', 'upload', await writeFile(first), 'name=v1')).code).toBe(0)
    const path = await writeFile(second)
    const sent = await send(path, proxy.url)
    expect((await contentOf(sent.imageId)).equals(second)).toBe(true)
    expect(proxy.bytes.up).toBeLessThan(second.length / 4)
    // The reported bytes are those on the wire, except the heads of requests.
    expect(Math.abs(proxy.bytes.up - (sent.saving?.wireBytes ?? 0))).toBeLessThan(20_000)

    const third = await writeFile(secondVersion(random, second, 3))
    const { output } = await runCommand(bot, 'image', 'upload', third, 'name=v3')
    expect(output.replaceAll(/\s+/g, ' ')).toMatch(/Sent [\d.]+ [kM]B for 34 MB: [\d.]+ [kM]B new, 2\d MB already stored, 8\.\d MB zeros\./)
    expect(output).not.toContain('image delete')
    const { value } = await runJson(bot, 'image', 'upload', await writeFile(secondVersion(random, second, 3)), 'name=v4')
    expect(value['wireBytes']).toBeLessThan(second.length / 4)
    expect(value['newBytes']).toBeLessThan(second.length / 4)
    expect(Number(value['newBytes']) + Number(value['storedBytes']) + Number(value['zeroBytes'])).toBe(second.length)
  })

  test('works for zeros only, for one byte, and for a length that is not a multiple of a block', async () => {
    const random = newRandom()
    for (const content of [Buffer.alloc(9 * MIB + 5), Buffer.from([7]), random.bytes(4097), Buffer.concat([random.bytes(100_000), Buffer.alloc(300_000)])]) {
      const sent = await send(await writeFile(content), agent.url)
      expect((await contentOf(sent.imageId)).equals(content)).toBe(true)
    }
  })
})

describe('a link that is cut', () => {
  test('at random positions, in both directions: every byte arrives, and few are sent twice', async () => {
    const random = newRandom()
    for (let round = 0; round < 4; round++) {
      const known = makeContent(random, 4 * MIB)
      await send(await writeFile(known), agent.url)
      const content = Buffer.concat([known, makeContent(random, 12 * MIB), secondVersion(random, known, 5), random.bytes(random.below(5000))])
      await using proxy = await createCuttingProxy(Number(new URL(agent.url).port))
      // Requests that ask for missing slices are cut too; the upload resumes after each cut.
      proxy.setFaults(
        { cutAfter: 200_000 + random.below(4 * MIB), direction: random.pick(['up', 'down', 'both'] as const), reset: random.chance(0.5) },
        3 + random.below(6),
      )
      const sent = await send(await writeFile(content), proxy.url)
      expect({ seed, isEqual: (await contentOf(sent.imageId)).equals(content) }).toEqual({ seed, isEqual: true })
      expect(sent.resumedFrom).toBe(0)
      // Only bytes in flight at a cut are sent again, not slices that the store has.
      expect(proxy.bytes.up).toBeLessThan(content.length - 2 * known.length + (proxy.cuts + 1) * MIB)
    }
  })

  test('permanently ends the command with an error, and the same command resumes the upload', async () => {
    const content = newRandom().bytes(24 * MIB)
    const path = await writeFile(content)
    await using proxy = await createCuttingProxy(Number(new URL(agent.url).port))
    proxy.setFaults({ bytesPerSecond: 40 * MIB })
    const cut = new AbortController()
    const first = send(path, proxy.url, { signal: cut.signal, onProgress: (done) => done > 12 * MIB && cut.abort(new Error('cut by the test')) })
    await expect(first).rejects.toThrow('cut by the test')
    proxy.setFaults({})
    const second = await send(path, proxy.url)
    expect(second.resumedFrom).toBeGreaterThan(0)
    expect((await contentOf(second.imageId)).equals(content)).toBe(true)
  })

  test('ends the command when the agent does not come back', async () => {
    const path = await writeFile(createRandom(3).bytes(MIB))
    const waits: number[] = []
    const clock = { nowMs: () => systemClock.nowMs(), sleep: async (ms: number) => void waits.push(ms) }
    const port = await (async () => {
      await using server = Bun.serve({
        port: 0,
        fetch: () => new Response(null, { status: 201, headers: { Location: '/v1/uploads/upl_01jd0000000000000000000000' } }),
      })
      return server.port
    })()
    const order = { path, url: `http://127.0.0.1:${port}`, token: 'x', metadata: {}, cutter, onProgress() {} }
    await expect(createFileSender(bot.database, clock).send(order)).rejects.toMatchObject({ code: 'peer-unreachable' })
    expect(waits.length).toBeLessThanOrEqual(RETRY_DELAYS_MS.length)
  })
})

test('an agent that is killed while it receives slices loses nothing that it acknowledged', async () => {
  await using own = await createTemporaryFolder()
  await using killed = await startAgent(own.path)
  const content = newRandom().bytes(24 * MIB)
  await using proxy = await createCuttingProxy(Number(new URL(killed.url).port), { bytesPerSecond: 30 * MIB })
  const marks = [4, 9, 15].map((mib) => mib * MIB)
  let restarting = Promise.resolve()
  const sent = await send(await writeFile(content), proxy.url, {
    onProgress(done) {
      if (done < (marks[0] ?? Number.POSITIVE_INFINITY)) return
      marks.shift()
      restarting = restarting.then(async () => {
        await killed.restart()
        proxy.setTarget(Number(new URL(killed.url).port))
      })
    },
  })
  await restarting
  expect(marks).toEqual([])
  await until('the image was inspected', async () => (await killed.client.images.get(sent.imageId ?? '')).status === 'available')
  const response = await fetch(`${killed.url}/v1/images/${sent.imageId}/content`, { headers: killed.headers() })
  expect(Buffer.from(await response.arrayBuffer()).equals(content)).toBe(true)
})

test('slices that gc removes after the client asked for missing ones are sent with their bytes', async () => {
  const random = newRandom()
  const old = random.bytes(6 * MIB)
  const before = await send(await writeFile(old), agent.url)
  const content = Buffer.concat([random.bytes(MIB), old])
  let isRemoved = false
  // The image and all its slices are removed between the response that lists missing slices and the body that relies on it.
  await using front = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      if (request.method === 'PATCH' && !isRemoved) {
        isRemoved = true
        await agent.client.images.delete(before.imageId ?? '')
        const task = await agent.client.store.cleanup()
        await until('gc has ended', async () => (await agent.client.tasks.get(task.id)).endedAt !== null)
      }
      const { method, headers, body } = request
      const { pathname } = new URL(request.url)
      return fetch(`${agent.url}${pathname}`, { method, headers, ...(body ? { body } : {}), redirect: 'manual' })
    },
  })
  const sent = await send(await writeFile(content), front.url.origin)
  expect(isRemoved).toBe(true)
  expect(sent.saving?.newBytes).toBe(content.length)
  expect((await contentOf(sent.imageId)).equals(content)).toBe(true)
})

test('a file that changes while it is sent is reported, and becomes no image', async () => {
  const path = await writeFile(newRandom().bytes(48 * MIB))
  const images = (await agent.client.images.list({ status: 'available' })).items.length
  let isTouched = false
  const sending = send(path, agent.url, {
    onProgress() {
      if (isTouched) return
      isTouched = true
      appendFileSync(path, 'more')
      utimesSync(path, 1, 1)
    },
  })
  await expect(sending).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('changed') })
  expect((await agent.client.images.list({ status: 'available' })).items).toHaveLength(images)
})

describe('plain bytes', () => {
  test('are sent to a tus server that does not support slices', async () => {
    await using own = await createTemporaryFolder()
    const tus = new Server({ path: '/v1/uploads', datastore: new FileStore({ directory: own.path }) })
    await using server = Bun.serve({ port: 0, hostname: '127.0.0.1', maxRequestBodySize: 2 ** 40, fetch: (request) => tus.handleWeb(request) })
    const content = newRandom().bytes(3 * MIB)
    const sent = await send(await writeFile(content), server.url.origin, { cutter: undefined })
    expect(sent).toMatchObject({ saving: undefined, length: content.length })
    const [name = ''] = readdirSync(own.path).filter((file) => statSync(join(own.path, file)).size === content.length)
    expect(readFileSync(join(own.path, name)).equals(content)).toBe(true)
  })

  test('resume an upload of plain bytes, even if the store accepts slices', async () => {
    const content = newRandom().bytes(32 * MIB)
    const path = await writeFile(content)
    const cut = new AbortController()
    await using proxy = await createCuttingProxy(Number(new URL(agent.url).port), { bytesPerSecond: 40 * MIB })
    const first = send(path, proxy.url, { cutter: undefined, signal: cut.signal }).catch((error: unknown) => error)
    await until('the agent received a part', () => proxy.bytes.up > 12 * MIB)
    cut.abort(new Error('cut by the test'))
    expect(await first).toMatchObject({ message: 'cut by the test' })
    proxy.setFaults({})
    const before = agent.log().length
    const second = await send(path, proxy.url)
    expect(second.resumedFrom).toBeGreaterThan(0)
    expect((await contentOf(second.imageId)).equals(content)).toBe(true)
    // The refusal of a long body may be lost with its connection; that of the next, short body is received.
    const refusals =
      agent
        .log()
        .slice(before)
        .match(/"method":"PATCH"[^\n]*"status":409/g) ?? []
    expect(refusals.length).toBeLessThanOrEqual(2)
  })
})
