// A store on a file system of its own that becomes full, read-only or unmounted while its agent runs.

import { describe, expect, test } from 'bun:test'
import { readdirSync, renameSync, rmSync } from 'node:fs'
import type { Check } from '../../../protocol/health.ts'
import type { Problem } from '../../../protocol/problems.ts'
import type { Task } from '../../../protocol/task.ts'
import { agentCommand, runAgent } from '../../support/agents/agent-command.ts'
import { startAgent } from '../../support/agents/agent-process.ts'
import type { AgentProcess, AgentProcessOptions } from '../../support/agents/agent-process.ts'
import { Ledger } from '../../support/agents/ledger.ts'
import type { LedgerImage, LedgerUpload } from '../../support/agents/ledger.ts'
import { fillDisk, mountLoop, requireLoopMount } from '../../support/machine/loop-mount.ts'
import type { LoopMount } from '../../support/machine/loop-mount.ts'
import { createRandom } from '../../support/properties.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

const MIB = 1024 * 1024
const DISK_BYTES = 128 * MIB
const SMALL_RESERVE: AgentProcessOptions = { environment: { SLIPWAY_STORE_RESERVED: '8 MB' }, config: '[images]\nretention = "1s"\n' }
const mountTest = await requireLoopMount()

const noise = (length: number, seed: number): Uint8Array<ArrayBuffer> => new Uint8Array(createRandom(seed).bytes(length))

interface Answer {
  readonly status: number
  readonly problem: Problem
  readonly headers: Headers
}

async function ask(agent: AgentProcess, method: string, path: string, headers: Record<string, string> = {}, body?: Uint8Array<ArrayBuffer>): Promise<Answer> {
  const init = { method, headers: agent.headers({ 'Tus-Resumable': '1.0.0', ...headers }), ...(body ? { body } : {}) }
  const response = await fetch(`${agent.url}${path}`, init)
  const text = await response.text()
  const isProblem = response.headers.get('content-type') === 'application/problem+json'
  return { status: response.status, headers: response.headers, problem: (isProblem ? JSON.parse(text) : {}) as Problem }
}

const patch = (agent: AgentProcess, path: string, offset: number, body: Uint8Array<ArrayBuffer>): Promise<Answer> =>
  ask(agent, 'PATCH', path, { 'Content-Type': 'application/offset+octet-stream', 'Upload-Offset': String(offset) }, body)

/** Waits until a check has failed, and returns it. Health responds at all times. */
const failing = (agent: AgentProcess, name: string): Promise<Check> =>
  until(`health reports ${name}`, async () => {
    const { state, checks } = await agent.client.health()
    return state === 'running' ? undefined : checks.find((check) => check.name === name && check.state === 'failed')
  })
const well = (agent: AgentProcess): Promise<boolean> => until('health is running again', async () => (await agent.client.health()).state === 'running')

interface Scene extends AsyncDisposable {
  readonly mount: LoopMount
  readonly agent: AgentProcess
  readonly folder: string
  readonly ledger: Ledger
  readonly image: LedgerImage
  readonly open: LedgerUpload
}

/** Creates a store with an image and a half-finished upload. */
async function openScene(options: AgentProcessOptions = {}): Promise<Scene> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const mount = stack.use(await mountLoop(folder.path, folder.file('store'), DISK_BYTES))
  const agent = stack.use(await startAgent(folder.path, options))
  const ledger = new Ledger(agent, { prunes: true })
  const made = await ledger.create(noise(32 * MIB, 1), 'large')
  const image = made && (await ledger.send(made, 0))
  const open = await ledger.create(noise(10 * MIB, 2), 'half')
  if (!image || !open) throw new Error('the store could not be prepared')
  await ledger.send(open, 0, 3 * MIB + 5)
  await ledger.verify()
  // The digest is written to image.json. On a full disk that would use up the ballast.
  await until('the digest is known', async () => (await agent.client.images.get(image.id)).digest !== null)
  const owned = stack.move()
  return { mount, agent, folder: folder.path, ledger, image, open, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

describe('a disk that fills up', () => {
  for (const [how, options] of [
    ['to its reserve', SMALL_RESERVE],
    ['to the last byte', {}],
  ] satisfies [string, AgentProcessOptions][]) {
    mountTest(
      `${how}: uploads stop with 507 and keep their offset, and resume after deletions`,
      async () => {
        await using scene = await openScene(options)
        const { agent, ledger, image, open, mount } = scene

        const tooLong = await ask(agent, 'POST', '/v1/uploads', { 'Upload-Length': String(300 * MIB) })
        expect(tooLong).toMatchObject({ status: 507, problem: { type: 'urn:slipway:problem:insufficient-storage' } })
        expect(tooLong.problem.detail).toMatch(/needs 315 MB; the store has \d+ MB above its reserve/)

        // An upload of deferred length is refused only when the space is used up.
        const endless = (await ask(agent, 'POST', '/v1/uploads', { 'Upload-Defer-Length': '1' })).headers.get('location') ?? ''
        const refused = await patch(agent, endless, 0, noise(DISK_BYTES, 3))
        expect(refused).toMatchObject({ status: 507, problem: { type: 'urn:slipway:problem:insufficient-storage' } })
        expect(refused.problem.action).toMatch(/delete images/i)
        const held = Number(refused.headers.get('upload-offset'))
        fillDisk(`${mount.path}/filler`)

        const offset = open.acknowledged
        const rest = open.bytes.slice(offset)
        expect(await patch(agent, open.path, offset, rest)).toMatchObject({ status: 507 })
        await ledger.verify()
        expect((await ask(agent, 'HEAD', endless)).headers.get('upload-offset')).toBe(String(held))
        const check = await failing(agent, 'free-space')
        expect(check.impact).toMatch(/uploads.*refused/i)
        expect(check.action).toMatch(/delete images/i)

        await ledger.delete(image)
        expect((await agent.client.images.get(image.id)).status).toBe('deleted')
        // The first store purges after a second; the other one would purge after three days, so the image is deleted permanently.
        if (options !== SMALL_RESERVE) expect(await ask(agent, 'DELETE', `/v1/images/${image.id}?permanent=true`)).toMatchObject({ status: 204 })
        await ask(agent, 'DELETE', endless)
        await until('cleanup has freed space', async () => {
          const { id } = await agent.client.store.cleanup()
          await until('cleanup has ended', async () => (await agent.client.tasks.get(id)).endedAt)
          return (await agent.client.store.get()).capacity.available > 20 * MIB
        })
        await until('the upload resumes', () => ledger.finish(open))
        await ledger.verify()
        await agent.kill()
        expect(await agentCommand(scene.folder, ['scrub'], options)).toMatchObject({ exitCode: 0 })
      },
      180_000,
    )
  }
})

describe('a disk that other programs filled to the last byte', () => {
  mountTest(
    'lets the agent start, and cleanup frees space even if live and dead slices share a pack',
    async () => {
      await using scene = await openScene()
      const { agent, ledger, image, open, mount } = scene
      fillDisk(`${mount.path}/filler`)
      await agent.kill()
      await agent.restart()
      await ledger.verify()
      expect(await agent.stop()).toBe(0)
      await agent.restart()
      await failing(agent, 'free-space')
      await ledger.delete(image, { permanent: true })
      const [cleanup] = await maintain(agent)
      expect(cleanup).toMatchObject({ state: 'succeeded', result: { packsRewritten: 1 } })
      expect((await agent.client.store.get()).capacity.available).toBeGreaterThan(25 * MIB)
      expect(await ledger.finish(open)).toBeDefined()
      await ledger.verify()
    },
    180_000,
  )

  mountTest(
    'refuses a start with one sentence if the ballast is gone too',
    async () => {
      await using scene = await openScene()
      const { agent, mount, folder } = scene
      await agent.kill()
      for (const name of readdirSync(mount.path)) if (name.startsWith('.ballast')) rmSync(`${mount.path}/${name}`)
      fillDisk(`${mount.path}/filler`)
      const { exitCode, stderr } = await runAgent(['serve', '--config', `${folder}/agent.toml`])
      expect(exitCode).toBe(2)
      expect(stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'))).toEqual([
        `The disk of store.mount "${mount.path}" is full to the last block. Free a megabyte there and start again. Then delete images for good (image purge) and run store cleanup.`,
      ])
      rmSync(`${mount.path}/filler`)
      await agent.restart()
      await scene.ledger.verify()
    },
    180_000,
  )
})

describe('a mount path', () => {
  test('that does not exist any more is reported with 503 store-unavailable, and everything works again when it is back', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.path)
    const ledger = new Ledger(agent)
    await ledger.create(noise(MIB, 1), 'kept')
    renameSync(folder.file('store'), folder.file('elsewhere'))
    const unavailable = { status: 503, problem: { type: 'urn:slipway:problem:store-unavailable' } }
    for (const path of ['/v1/store', '/v1/files']) expect([path, await ask(agent, 'GET', path)]).toMatchObject([path, unavailable])
    expect(await ask(agent, 'POST', '/v1/uploads', { 'Upload-Length': '5' })).toMatchObject(unavailable)
    for (const path of ['/v1/images', '/v1/tasks', '/v1/schedules', '/v1/events', '/metrics'])
      expect([path, (await ask(agent, 'GET', path)).status]).toEqual([path, 200])
    expect(await failing(agent, 'mount-path')).toMatchObject({ state: 'failed' })
    renameSync(folder.file('elsewhere'), folder.file('store'))
    await until('the store answers', async () => (await ask(agent, 'GET', '/v1/store')).status === 200)
    await ledger.verify()
  }, 60_000)

  mountTest(
    'that turns read-only is reported by health and with 503, and works again afterwards',
    async () => {
      await using scene = await openScene()
      const { agent, ledger, image, open, mount } = scene
      await mount.makeReadOnly()
      const offset = open.acknowledged
      expect(await patch(agent, open.path, offset, open.bytes.slice(offset))).toMatchObject({
        status: 503,
        problem: { type: 'urn:slipway:problem:store-unavailable', detail: 'The file system of the store is read-only.' },
      })
      expect(await ask(agent, 'POST', '/v1/uploads', { 'Upload-Length': '5' })).toMatchObject({ status: 503 })
      expect(await ask(agent, 'DELETE', `/v1/images/${image.id}`)).toMatchObject({ status: 503 })
      expect(await failing(agent, 'mount-writable')).toMatchObject({
        impact: expect.stringContaining('nothing can be stored'),
        action: expect.stringMatching(/read-only/),
      })
      await ledger.read(image, 5 * MIB, 6 * MIB)
      await mount.restore()
      await well(agent)
      await ledger.finish(open)
      expect(ledger.uploads.size).toBe(0)
      await ledger.verify()
    },
    180_000,
  )

  mountTest(
    'that is unmounted is reported, nothing is written in its place or considered lost, and everything is back when it is mounted again',
    async () => {
      await using scene = await openScene()
      const { agent, ledger, image, open, mount } = scene
      await mount.takeAway()
      const offset = open.acknowledged
      const unavailable = { status: 503, problem: { type: 'urn:slipway:problem:store-unavailable' } }
      expect(await patch(agent, open.path, offset, open.bytes.slice(offset))).toMatchObject(unavailable)
      expect(await ask(agent, 'POST', '/v1/uploads', { 'Upload-Length': '5' })).toMatchObject(unavailable)
      expect(await ask(agent, 'DELETE', `/v1/images/${image.id}`)).toMatchObject(unavailable)
      expect(await ask(agent, 'POST', '/v1/store/reconnect')).toMatchObject(unavailable)
      const check = await failing(agent, 'mount-path')
      expect(check).toMatchObject({ impact: expect.stringContaining('Images cannot be read'), action: expect.stringContaining('Mount the right file system') })
      expect((await fetch(`${agent.url}/v1/health`)).status).toBe(503)
      const shown = { id: image.id, status: 'fileUnavailable', statusReason: expect.stringContaining('The mount path fails: ') }
      expect(await agent.client.images.get(image.id)).toMatchObject(shown)
      // The upload in progress is the other image.
      const upload = { name: 'half', status: 'fileUnavailable' }
      expect((await agent.client.images.list()).items).toEqual([expect.objectContaining(upload), expect.objectContaining(shown)])
      expect((await agent.client.images.list({ status: 'fileUnavailable' })).items).toHaveLength(2)
      expect((await agent.client.images.list({ status: 'available' })).items).toEqual([])
      expect((await agent.client.store.get()).images).toEqual({ available: 0, deleted: 0, other: 1 })

      // Tasks of schedules must never conclude that everything was removed.
      for (let round = 0; round < 3; round++) {
        for (const end of await maintain(agent)) expect(end).toMatchObject({ state: 'failed', error: { type: 'urn:slipway:problem:store-unavailable' } })
      }
      expect(readdirSync(mount.path)).toEqual([])

      await mount.restore()
      await until('the mount path is back', async () => (await agent.client.health()).state !== 'error')
      for (const end of await maintain(agent)) expect(end).toMatchObject({ state: 'succeeded' })
      await well(agent)
      expect(await agent.client.images.get(image.id)).toMatchObject({ status: 'available', statusReason: null })
      expect((await agent.client.images.list({ status: 'available' })).items).toHaveLength(1)
      await ledger.finish(open)
      expect(ledger.uploads.size).toBe(0)
      await ledger.verify()
      await agent.kill()
      expect(await agentCommand(scene.folder, ['scrub'])).toMatchObject({ exitCode: 0 })
    },
    180_000,
  )
})

/** Runs cleanup, then scrub, and waits for their ends. */
async function maintain(agent: AgentProcess): Promise<Task[]> {
  const ends: Task[] = []
  for (const start of [() => agent.client.store.cleanup(), () => agent.client.schedules.run('scrub')]) {
    const { id } = await start()
    ends.push(
      await until('the task has ended', async () => {
        const found = await agent.client.tasks.get(id)
        return found.endedAt === null ? undefined : found
      }),
    )
  }
  return ends
}
