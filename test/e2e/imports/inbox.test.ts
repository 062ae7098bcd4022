// The inbox of a real agent: what becomes an image, what is left alone, and what happens to the files.

import { expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { appendFile, link, mkdir, open, readdir, readFile, rename, symlink, truncate, utimes, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { startAgent } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

const SETTLED_SOON = '[imports]\ninbox-settle = "400ms"'
/** Longer than a test: only files that were renamed into place are taken. */
const SETTLED_LATE = '[imports]\ninbox-settle = "1h"'

async function startWithInbox(folder: string, config = SETTLED_SOON): Promise<{ agent: AgentProcess; inbox: string } & AsyncDisposable> {
  const agent = await startAgent(folder, { config })
  return { agent, inbox: join(folder, 'store', 'inbox'), [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose]() }
}

async function imageNames(agent: AgentProcess): Promise<string[]> {
  return (await agent.client.images.list()).items.map(({ name }) => name).toSorted()
}

/** Resolves when the inbox has no file but those of the agent. */
async function untilEmpty(inbox: string): Promise<void> {
  const own = join(inbox, '.slipway')
  await until('the inbox is empty', async () => {
    const isEmpty = (await readdir(inbox)).every((name) => name === '.slipway' || name === 'refused')
    return isEmpty && (await readdir(own)).length === 0
  })
}

async function eventsOf(agent: AgentProcess, type: string) {
  return (await agent.client.events.list({ limit: 100 })).items.filter((event) => event.type === type)
}

async function contentOf(agent: AgentProcess, name: string): Promise<Buffer> {
  const image = (await agent.client.images.list({ name })).items[0]
  return Buffer.from(await (await fetch(`${agent.url}/v1/images/${image?.id}/content`, { headers: agent.headers() })).arrayBuffer())
}

test('a file that is written slowly becomes one image when its writer is done, and is removed', async () => {
  await using folder = await createTemporaryFolder()
  await using running = await startWithInbox(folder.path)
  const { agent, inbox } = running
  const bytes = seededBytes(3_000_000, 1)
  const path = join(inbox, 'debian-12.img')
  const file = await open(path, 'w')
  for (let at = 0; at < bytes.byteLength; at += 500_000) {
    await file.write(bytes.subarray(at, at + 500_000))
    await Bun.sleep(100)
  }
  // Still open: it is not complete, however long nothing is written.
  await Bun.sleep(1200)
  expect(await imageNames(agent)).toEqual([])
  await file.close()
  await untilEmpty(inbox)
  const { items } = await agent.client.images.list()
  expect(items).toEqual([
    expect.objectContaining({ name: 'debian-12.img', status: 'available', source: expect.objectContaining({ kind: 'inbox', filename: 'debian-12.img' }) }),
  ])
  expect((await contentOf(agent, 'debian-12.img')).equals(Buffer.from(bytes))).toBe(true)
}, 30_000)

test('a file that was renamed into place is taken at once, from a temporary name in the inbox and from another folder', async () => {
  await using folder = await createTemporaryFolder()
  await using running = await startWithInbox(folder.path, SETTLED_LATE)
  const { agent, inbox } = running
  const bytes = Buffer.from(seededBytes(200_000, 2))
  await writeFile(join(inbox, 'a.img.part'), bytes)
  // The agent has to see the temporary name first.
  await Bun.sleep(1000)
  await rename(join(inbox, 'a.img.part'), join(inbox, 'a.img'))
  await until('the image exists', async () => (await imageNames(agent)).includes('a.img'))
  await untilEmpty(inbox)
  const old = join(folder.path, 'store', 'b.img')
  await writeFile(old, bytes)
  await utimes(old, new Date('2026-01-01T00:00:00Z'), new Date('2026-01-01T00:00:00Z'))
  await rename(old, join(inbox, 'b.img'))
  await untilEmpty(inbox)
  expect(await imageNames(agent)).toEqual(['a.img', 'b.img'])
}, 30_000)

test('temporary and hidden names, folders, links, FIFOs and sockets stay as they are', async () => {
  await using folder = await createTemporaryFolder()
  await using running = await startWithInbox(folder.path)
  const { agent, inbox } = running
  const secret = join(folder.path, 'secret.img')
  await writeFile(secret, 'secret')
  for (const name of ['.hidden.img', 'b.part', 'c.tmp', 'd.img~', 'e.CRDOWNLOAD', '#f.img#']) await writeFile(join(inbox, name), 'x')
  await mkdir(join(inbox, 'folder.img'))
  await writeFile(join(inbox, 'folder.img', 'inside.img'), 'x')
  await symlink(secret, join(inbox, 'link.img'))
  expect(Bun.spawnSync(['mkfifo', join(inbox, 'fifo.img')]).exitCode).toBe(0)
  const server = createServer().listen(join(inbox, 'socket.img'))
  await writeFile(join(inbox, 'last.img'), seededBytes(100_000, 3))
  await until('the image exists', async () => (await imageNames(agent)).length > 0)
  expect(await imageNames(agent)).toEqual(['last.img'])
  await until('the file is gone', () => !existsSync(join(inbox, 'last.img')))
  expect((await readdir(inbox)).toSorted()).toEqual(
    [
      '#f.img#',
      '.hidden.img',
      '.slipway',
      'b.part',
      'c.tmp',
      'd.img~',
      'e.CRDOWNLOAD',
      'fifo.img',
      'folder.img',
      'link.img',
      'refused',
      'socket.img',
    ].toSorted(),
  )
  server.close()
}, 30_000)

test('a refused file is kept beside its reason, and leaves no image', async () => {
  await using folder = await createTemporaryFolder()
  await using running = await startWithInbox(folder.path)
  const { agent, inbox } = running
  // qcow2 of version 3 with a backing file: refused by the inspection.
  const header = Buffer.alloc(65_536)
  header.write('QFI\xfb', 0, 'latin1')
  header.writeUInt32BE(3, 4)
  header.writeBigUInt64BE(1024n, 8)
  header.writeUInt32BE(11, 16)
  header.writeUInt32BE(16, 20)
  header.writeBigUInt64BE(1_048_576n, 24)
  header.write('/etc/passwd', 1024)
  await writeFile(join(inbox, 'evil.qcow2'), header)
  await writeFile(join(inbox, 'new\nline.img'), 'x')
  await writeFile(Buffer.concat([Buffer.from(`${inbox}/`), Buffer.from([0x61, 0xff, 0x2e, 0x69, 0x6d, 0x67])]), 'x')
  await untilEmpty(inbox)
  expect((await readdir(join(inbox, 'refused'))).toSorted()).toEqual(
    ['a_.img', 'a_.img.reason.txt', 'evil.qcow2', 'evil.qcow2.reason.txt', 'new_line.img', 'new_line.img.reason.txt'].toSorted(),
  )
  expect(await readFile(join(inbox, 'refused', 'evil.qcow2'))).toEqual(header)
  expect(await readFile(join(inbox, 'refused', 'evil.qcow2.reason.txt'), 'utf8')).toMatch(/backing file/)
  expect(await readFile(join(inbox, 'refused', 'new_line.img.reason.txt'), 'utf8')).toMatch(/control characters/)
  await until('no image is left', async () => (await agent.client.images.list()).items.length === 0)
  const events = await eventsOf(agent, 'inbox.refused')
  expect(events.map(({ subject }) => subject).toSorted()).toEqual(['a_.img', 'evil.qcow2', 'new_line.img'])
  expect(await readdir(join(inbox, '.slipway'))).toEqual([])
}, 30_000)

test('a file that grows, shrinks or is replaced while it is imported is imported as it is in the end', async () => {
  await using folder = await createTemporaryFolder()
  await using running = await startWithInbox(folder.path)
  const { agent, inbox } = running
  const bytes = Buffer.from(seededBytes(60_000_000, 4))
  const paths = ['grows.img', 'shrinks.img', 'replaced.img'].map((name) => join(inbox, name))
  const [grows = '', shrinks = '', replaced = ''] = paths
  for (const path of paths) {
    await writeFile(`${path}.part`, bytes)
    await rename(`${path}.part`, path)
    await until('its import runs', async () => (await agent.client.tasks.list({ state: 'running', kind: 'import' })).items.length > 0)
    if (path === grows) await appendFile(path, 'more')
    if (path === shrinks) await truncate(path, 1_000_000)
    if (path === replaced) {
      await writeFile(`${path}.part`, bytes.subarray(0, 2_000_000))
      await rename(`${path}.part`, path)
    }
    await untilEmpty(inbox)
  }
  expect((await contentOf(agent, 'grows.img')).equals(Buffer.concat([bytes, Buffer.from('more')]))).toBe(true)
  expect((await contentOf(agent, 'shrinks.img')).equals(bytes.subarray(0, 1_000_000))).toBe(true)
  const contents = (await agent.client.images.list({ name: 'replaced.img' })).items.map(({ length }) => length)
  // The file that was replaced was complete: it may have become an image too.
  expect(contents).toContain(2_000_000)
}, 60_000)

test('a hard link in the inbox is imported, and the other name keeps its bytes', async () => {
  await using folder = await createTemporaryFolder()
  await using running = await startWithInbox(folder.path)
  const { agent, inbox } = running
  const other = join(folder.path, 'store', 'kept.bin')
  await writeFile(other, seededBytes(100_000, 5))
  await link(other, join(inbox, 'linked.img'))
  await untilEmpty(inbox)
  expect(await imageNames(agent)).toEqual(['linked.img'])
  expect((await readFile(other)).equals(Buffer.from(seededBytes(100_000, 5)))).toBe(true)
}, 30_000)

test('files wait while the store is disabled, and are imported when it is enabled', async () => {
  await using folder = await createTemporaryFolder()
  await using running = await startWithInbox(folder.path)
  const { agent, inbox } = running
  await agent.client.store.disable('maintenance')
  await writeFile(join(inbox, 'waits.img'), seededBytes(100_000, 6))
  const event = await until('an event says why', async () => (await eventsOf(agent, 'inbox.waiting'))[0])
  expect(event.message).toMatch(/maintenance/)
  expect(existsSync(join(inbox, 'waits.img'))).toBe(true)
  await agent.client.store.enable()
  await agent.restart()
  await untilEmpty(inbox)
  expect(await imageNames(agent)).toEqual(['waits.img'])
}, 30_000)

test('with imports.inbox = false, nothing is taken', async () => {
  await using folder = await createTemporaryFolder()
  await using running = await startWithInbox(folder.path, '[imports]\ninbox = false\ninbox-settle = "100ms"')
  await writeFile(join(running.inbox, 'stays.img'), seededBytes(100_000, 7))
  await Bun.sleep(1000)
  expect(await readdir(running.inbox)).toEqual(['stays.img'])
}, 30_000)
