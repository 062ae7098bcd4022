// Reconcile at a running agent: every kind of finding, what is changed only on request, and the command of the bot.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { reconcileResultSchema } from '../../../protocol/reconcile.ts'
import type { ReconcileRequest, ReconcileResult } from '../../../protocol/reconcile.ts'
import { startAgent } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'
import { openTestBot, runCommand, runJson } from '../../bot/fixture.ts'

setDefaultTimeout(120_000)

const CONFIG = '[uploads]\nexpiry = "1s"\n[schedules]\nexpire = "0 0 1 1 *"\n'

async function upload(agent: AgentProcess, metadata: string, bytes: Uint8Array<ArrayBuffer>, length = bytes.byteLength): Promise<Response> {
  const headers = agent.headers({
    'Tus-Resumable': '1.0.0',
    'Upload-Length': String(length),
    'Upload-Metadata': metadata,
    ...(bytes.byteLength > 0 && { 'Content-Type': 'application/offset+octet-stream' }),
  })
  const answer = await fetch(`${agent.url}/v1/uploads`, { method: 'POST', headers, ...(bytes.byteLength > 0 && { body: bytes }) })
  expect(answer.status).toBe(201)
  return answer
}

async function add(agent: AgentProcess, name: string, kind: string): Promise<string> {
  const bytes = crypto.getRandomValues(new Uint8Array(20_000))
  const answer = await upload(agent, `name ${btoa(name)},kind ${btoa(kind)}`, bytes)
  const id = (answer.headers.get('content-location') ?? '').split('/').at(-1) ?? ''
  await until('the image is available', async () => (await agent.client.images.get(id)).status === 'available')
  return id
}

async function reconcile(agent: AgentProcess, request: ReconcileRequest = {}): Promise<ReconcileResult> {
  const { id } = await agent.client.store.reconcile(request)
  const task = await until('the task has ended', async () => {
    const now = await agent.client.tasks.get(id)
    return now.endedAt === null ? undefined : now
  })
  expect(task.error).toBeUndefined()
  return reconcileResultSchema.parse(task.result)
}

const brief = ({ findings }: ReconcileResult) => findings.map(({ kind, target, action }) => [kind, target, action])

async function makeOld(path: string): Promise<void> {
  const at = Date.now() / 1000 - 90_000
  await utimes(path, at, at)
}

test('every kind of finding is reported, and only what is requested is done, once', async () => {
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path, { config: CONFIG })
  const mount = (await agent.client.store.get()).mount
  const lost = await add(agent, 'lost', 'disk')
  const capture = await add(agent, 'capture', 'capture')
  const kept = await add(agent, 'kept', 'capture')
  const backup = await add(agent, 'backup', 'backup')
  for (const [id, instance] of [
    [capture, 'vm-gone'],
    [kept, 'vm-1'],
    [backup, 'vm-gone'],
  ] as const)
    await agent.client.images.patch(id, { sourceInstance: instance })
  expect(await reconcile(agent, { instances: ['vm-1', 'vm-gone'] })).toEqual({ findings: [], counts: {}, applied: [], absent: [] })

  const expired = ((await upload(agent, `name ${btoa('late')}`, new Uint8Array(0), 10)).headers.get('location') ?? '').split('/').at(-1) ?? ''
  const broken = ((await upload(agent, `name ${btoa('broken')}`, new Uint8Array(0), 10)).headers.get('location') ?? '').split('/').at(-1) ?? ''
  await agent.restart()
  await writeFile(join(mount, 'uploads', broken, 'upload.json'), '{')
  await agent.restart()
  await makeOld(join(mount, 'uploads', broken))
  await writeFile(join(mount, 'stray.img'), 'bytes')
  await makeOld(join(mount, 'stray.img'))
  await rm(join(mount, 'images', lost, 'manifest'))
  const expected = [
    ['unknownFile', 'stray.img', 'quarantine'],
    ['brokenUpload', broken, 'quarantine'],
    ['expiredUpload', expired, 'remove'],
    ['imageWithoutBytes', lost, 'delete'],
    ['captureWithoutInstance', capture, 'delete'],
  ]
  const order = { instances: ['vm-1'] }
  const seen = await until('the upload has expired', async () => {
    const result = await reconcile(agent, order)
    return result.findings.length >= 5 ? result : undefined
  })
  expect(brief(seen)).toEqual(expected)
  expect(seen.counts).toEqual({ unknownFile: 1, brokenUpload: 1, expiredUpload: 1, imageWithoutBytes: 1, captureWithoutInstance: 1 })
  // Without the list of instances, captures are not judged; nothing was changed by looking.
  expect(brief(await reconcile(agent))).toEqual(expected.slice(0, 4))

  const ids = seen.findings.map(({ id }) => id)
  const one = await reconcile(agent, { ...order, apply: ids.slice(0, 1) })
  expect(one.applied).toEqual([
    {
      id: ids[0] ?? '',
      kind: 'unknownFile',
      target: 'stray.img',
      action: 'quarantine',
      outcome: 'done',
      detail: `It was moved to quarantine/${ids[0]}.stray.img.`,
    },
  ])
  expect(brief(one)).toEqual(expected.slice(1))
  await agent.client.images.patch(capture, { protected: true })
  const rest = await reconcile(agent, { ...order, apply: ids })
  expect(rest.absent).toEqual(ids.slice(0, 1))
  expect(rest.applied.map(({ target, outcome }) => [target, outcome])).toEqual([
    [broken, 'done'],
    [expired, 'done'],
    [lost, 'done'],
    [capture, 'refused'],
  ])
  expect(rest.applied.at(-1)?.detail).toBe('Image capture is protected against deletion.')
  expect((await readdir(join(mount, 'quarantine'))).toSorted()).toEqual([`${ids[0]}.stray.img`, `${ids[1]}.${broken}`].toSorted())
  expect(await readdir(join(mount, 'uploads'))).not.toContain(broken)
  expect((await agent.client.images.get(lost)).status).toBe('deleted')
  expect(brief(await reconcile(agent, order))).toEqual(expected.slice(4))

  // Packs whose files are gone.
  await rm(join(mount, 'packs'), { recursive: true })
  await mkdir(join(mount, 'packs'))
  const after = await reconcile(agent)
  expect(after.findings.map(({ kind, target }) => `${kind} ${target}`)).toEqual([capture, kept, backup].toSorted().map((id) => `imageWithoutBytes ${id}`))
  expect(after.findings[0]?.what).toContain('of its slices with 20000 bytes are missing')
})

test('exports whose image or file is gone are findings, and others are not', async () => {
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path)
  const mount = (await agent.client.store.get()).mount
  const ids: string[] = []
  for (const name of ['gone', 'lost', 'kept']) {
    const id = await add(agent, name, 'disk')
    await agent.client.images.export(id)
    ids.push(id)
  }
  const [gone = ''] = ids
  const exports = await until('the exports are ready', async () => {
    const { items } = await agent.client.exports.list()
    return items.length === 3 && items.every(({ state }) => state === 'ready') ? items : undefined
  })
  expect((await reconcile(agent)).findings).toEqual([])
  const exportOf = (name: string) => exports.find(({ imageName }) => imageName === name)
  await agent.client.images.delete(gone, { permanent: true })
  await rm(join(mount, exportOf('lost')?.path ?? ''))
  const seen = await reconcile(agent)
  const found = [
    ['exportWithoutImage', exportOf('gone')?.id, 'remove'],
    ['exportWithoutFile', exportOf('lost')?.id, 'remove'],
  ]
  expect(brief(seen).map(String).toSorted()).toEqual(found.map(String).toSorted())
  const done = await reconcile(agent, { apply: seen.findings.map(({ id }) => id) })
  expect(done.applied.map(({ outcome }) => outcome)).toEqual(['done', 'done'])
  expect((await agent.client.exports.list()).items.map(({ imageName }) => imageName)).toEqual(['kept'])
  expect((await readdir(join(mount, 'exports'))).filter((name) => !name.startsWith('.'))).toHaveLength(1)
  expect((await reconcile(agent)).findings).toEqual([])
})

test('the bot lists findings, and acts after the name of the store was typed', async () => {
  await using folder = await createTemporaryFolder()
  await using home = await createTemporaryFolder()
  await using agent = await startAgent(folder.path)
  const mount = (await agent.client.store.get()).mount
  using bot = openTestBot(home.path)
  const { token } = await agent.client.tokens.create({ name: 'bot', role: 'admin' })
  expect((await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${token}`, 'zone=z')).code).toBe(0)
  expect((await runCommand(bot, 'store', 'reconcile', 'edge-a')).output).toContain('Catalogue and mount path agree.')
  for (const name of ['one.img', 'two.img']) {
    await writeFile(join(mount, name), 'bytes')
    await makeOld(join(mount, name))
  }
  const { value } = await runJson(bot, 'store', 'reconcile', 'edge-a')
  const ids = (value['findings'] as { id: string }[]).map(({ id }) => id)
  expect(ids).toHaveLength(2)
  expect((await runCommand(bot, 'store', 'reconcile', 'edge-a', ids[0] ?? '')).output).toContain('Add --apply')
  const asked = await runCommand(bot, 'store', 'reconcile', 'edge-a', ids[0] ?? '', '--apply')
  expect(asked.code).toBe(1)
  expect(asked.output).toContain('To confirm, type the name: --confirm "edge-a".')
  expect(await readdir(mount)).toContain('one.img')
  const done = await runJson(bot, 'store', 'reconcile', 'edge-a', ids[0] ?? '', '--apply', '--confirm', 'edge-a')
  expect(done).toMatchObject({ code: 0, value: { applied: [{ target: 'one.img', outcome: 'done' }] } })
  expect(await readdir(mount)).not.toContain('one.img')
  expect(await readdir(mount)).toContain('two.img')
  expect((await runCommand(bot, 'store', 'reconcile', 'edge-a', 'fnd_0000000000000000', '--apply')).output).toContain(
    'There is no finding fnd_0000000000000000.',
  )
  expect((await runCommand(bot, 'store', 'reconcile', 'edge-a', '--apply', '--confirm', 'edge-a')).code).toBe(0)
  expect(await readdir(mount)).not.toContain('two.img')
})
