// Images that are refused, by every way in and for every reason: each fails with its code and its sentence, and leaves at most an image in error, which
// says why. Once that is deleted, gc leaves no slice and no file.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { chmod, mkdir, readdir, readFile } from 'node:fs/promises'
import type { Image } from '../../../protocol/images/image.ts'
import { problemCode } from '../../../protocol/problems.ts'
import type { Problem } from '../../../protocol/problems.ts'
import { startAgent } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { addImage, untilEnded } from '../../support/agents/hub-and-edge.ts'
import { startFtpServer, startSftpServer } from '../../support/clients/file-servers.ts'
import { seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { requireThat, requireTool } from '../../support/require.ts'
import { until } from '../../support/until.ts'
import { CONFIG, expectEmpty, expectRefused, REFUSALS, writeRefused } from './refusals.ts'

setDefaultTimeout(180_000)

const NAMES = Object.keys(REFUSALS)
/** One for each place that refuses: the inspection, its comparison with what was declared, the digest, unpacking, and the length. */
const SOME = ['a backing file', 'a qcow2 as raw', 'another digest', 'an empty file', 'a compressed bomb', 'a file that is too long']
/** What is imported by ftp and by sftp: each costs a login. */
const REMOTE = ['a backing file', 'another digest', 'a compressed bomb', 'a file that is too long']
/** Those that are refused without anything declared. An empty file is not taken from the mount path. */
const UNDECLARED = ['a backing file', 'a vdi', 'a file that is too long']
const isRoot = process.getuid?.() === 0
const ftpTest = isRoot ? requireTool('vsftpd', 'vsftpd') : requireThat(false, 'vsftpd changes its root folder, which needs root rights')
const sftpTest = isRoot ? requireTool('sshd', 'openssh-server') : requireThat(false, 'sshd needs root rights')

const stack = new AsyncDisposableStack()
let files: TemporaryFolder
let folder: TemporaryFolder
let agent: AgentProcess
/** Searches for existing images at its start and 10 s later, while the other tests run. */
let searching: AgentProcess

beforeAll(async () => {
  files = stack.use(await createTemporaryFolder())
  await chmod(files.path, 0o755)
  await mkdir(files.file('root'))
  await writeRefused(files.file('root'), NAMES)
  await chmod(files.file('root'), 0o555)
  const searched = stack.use(await createTemporaryFolder())
  await mkdir(searched.file('store', 'old'), { recursive: true })
  await writeRefused(searched.file('store', 'old'), UNDECLARED)
  searching = stack.use(await startAgent(searched.path, { config: `${CONFIG}[images]\nretrieve-existing = true\n` }))
  folder = stack.use(await createTemporaryFolder())
  const config = CONFIG.replace('[imports]', `[imports]\nroots = ["${files.file('root')}"]\ninbox-settle = "300ms"`)
  agent = stack.use(await startAgent(folder.path, { config }))
})
afterAll(() => stack.disposeAsync())

test('imports from URLs', async () => {
  await using server = servedFiles()
  for (const name of NAMES) await expectRefused(agent, name, { url: `${server.url}/${encodeURIComponent(name)}` })
  await expectEmpty(agent, folder.file('store'))
})

test('imports from paths', async () => {
  for (const [i, name] of NAMES.entries()) await expectRefused(agent, name, { path: files.file('root', `${i}.img`) })
  await expectEmpty(agent, folder.file('store'))
})

ftpTest('imports by ftp', async () => {
  await using server = await startFtpServer(files.file('root'), files.path)
  for (const name of REMOTE) await expectRefused(agent, name, { url: `ftp://localhost:${server.port}/${NAMES.indexOf(name)}.img` })
  await expectEmpty(agent, folder.file('store'))
})

sftpTest('imports by sftp', async () => {
  await using server = await startSftpServer(files.path)
  const login = { username: 'root', privateKey: server.privateKey }
  for (const name of REMOTE) {
    const url = `sftp://localhost:${server.port}${files.file('root', `${NAMES.indexOf(name)}.img`)}`
    await expectRefused(agent, name, { url, ...login })
  }
  await expectEmpty(agent, folder.file('store'))
})

test('files in the inbox, which are kept beside their reasons', async () => {
  const inbox = folder.file('store', 'inbox')
  const names = await writeRefused(inbox, UNDECLARED)
  const kept = names.flatMap((name) => [name, `${name}.reason.txt`])
  await until('all are refused', async () => (await readdir(`${inbox}/refused`)).length === kept.length)
  await until('their images are removed', async () => (await readdir(`${inbox}/.slipway`)).length === 0)
  expect((await readdir(`${inbox}/refused`)).toSorted()).toEqual(kept)
  for (const [i, name] of UNDECLARED.entries()) expect(await readFile(`${inbox}/refused/${i}.img.reason.txt`, 'utf8')).toContain(REFUSALS[name]?.says ?? '')
  expect((await readdir(inbox)).toSorted()).toEqual(['.slipway', 'refused'])
  await expectEmpty(agent, folder.file('store'))
})

test('uploads whose creation is refused', async () => {
  const codes: Record<string, string> = {}
  const attempt = async (what: string, headers: Record<string, string>) => {
    const answer = await tus(agent, 'POST', '/v1/uploads', { 'upload-length': '300000', 'content-type': 'application/offset+octet-stream', ...headers }, noise)
    codes[what] = `${answer.status} ${problemCode((await answer.json()) as Problem)}`
  }
  await attempt('too long', { 'upload-length': '4000001' })
  await attempt('a kind without its format', { 'upload-metadata': `kind ${btoa('iso')},format ${btoa('qcow2')}` })
  await attempt('a digest that is not valid', { 'upload-metadata': `digest ${btoa('sha256:0')}` })
  await agent.client.store.patch({ imagesEnabled: false })
  await attempt('images are switched off', {})
  await agent.client.store.patch({ imagesEnabled: true })
  await agent.client.store.disable('maintenance')
  await attempt('the store is disabled', {})
  await agent.client.store.enable()
  expect(codes).toEqual({
    'too long': '413 payload-too-large',
    'a kind without its format': '422 format-mismatch',
    'a digest that is not valid': '400 invalid-input',
    'images are switched off': '403 feature-disabled',
    'the store is disabled': '409 store-disabled',
  })
  await expectEmpty(agent, folder.file('store'))
})

test('uploads that are refused at their end', async () => {
  for (const name of SOME.slice(0, -1)) {
    const { bytes, more = {}, code, says } = REFUSALS[name] ?? { bytes: noise, code: '', says: '' }
    const metadata = Object.entries<unknown>({ name, ...more }).map(([key, value]) => `${key} ${btoa(String(value))}`)
    const created = await tus(agent, 'POST', '/v1/uploads', { 'upload-length': String(bytes.byteLength), 'upload-metadata': metadata.join() })
    const patch = { 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' }
    if (bytes.byteLength > 0)
      expect((await tus(agent, 'PATCH', new URL(created.headers.get('location') ?? '', agent.url).pathname, patch, bytes)).status).toBe(204)
    const image = await untilRefused(agent, name)
    expect(image).toMatchObject({ statusReason: expect.stringContaining(says), formatDetails: { refusal: code } })
    await agent.client.images.delete(image.id, { permanent: true })
  }
  await expectEmpty(agent, folder.file('store'))
})

test('syncs from another agent: by the limit, by the switch, and by digests', async () => {
  await using folders = await createTemporaryFolder()
  await using hub = await startAgent(folders.file('hub'))
  await using edge = await startAgent(folders.file('edge'), { config: '[images]\nmax-bytes-per-owner = "1 MB"\n' })
  const store = folders.file('edge', 'store')
  const adding = [addImage(hub, noise, 'small'), addImage(hub, seededBytes(300_000, 12), 'other'), addImage(hub, seededBytes(1_000_001, 13), 'large')]
  const [small = '', other = '', large = ''] = await Promise.all(adding)
  const { token } = await hub.client.tokens.create({ name: 'edge', role: 'viewer' })
  const refusedAs = async (url: string, id: string) => {
    const { error } = await untilEnded(edge, (await edge.client.sync({ source: { url, token }, images: [id] })).id)
    return error ? problemCode(error) : 'none'
  }
  expect(await refusedAs(hub.url, large)).toBe('limit-reached')
  await expectEmpty(edge, store)

  await edge.client.store.patch({ imagesEnabled: false })
  const headers = edge.headers({ 'content-type': 'application/json' })
  const body = JSON.stringify({ source: { url: hub.url, token }, images: [small] })
  const answer = await fetch(`${edge.url}/v1/sync`, { method: 'POST', headers, body })
  expect([answer.status, problemCode((await answer.json()) as Problem)]).toEqual([403, 'feature-disabled'])
  await edge.client.store.patch({ imagesEnabled: true })
  await expectEmpty(edge, store)

  {
    await using liar = liarBefore(hub, (path) => path.replace(new RegExp(`${small}(?=/manifest)`), other))
    expect(await refusedAs(liar.url, small)).toBe('digest-mismatch')
    await expectEmpty(edge, store)
  }
  // The slices and the manifest are true, and the digest of the whole image is not.
  const digest = `sha256:${'0'.repeat(64)}`
  await using liar = liarBefore(hub, undefined, (text) => text.replace(/"digest":"sha256:[0-9a-f]{64}"/, `"digest":"${digest}"`))
  await refusedAs(liar.url, small)
  const image = await untilRefused(edge, 'small')
  expect(image.statusReason).toContain(`Digest mismatch: the source store reported ${digest}`)
  await edge.client.images.delete(image.id, { permanent: true })
  await expectEmpty(edge, store)
})

test('existing files beside the store, which stay where they are', async () => {
  const events = await until('all are refused', async () => {
    const { items } = await searching.client.events.list({ limit: 100 })
    const refused = items.filter(({ type }) => type === 'existing.refused')
    return refused.length === UNDECLARED.length ? refused : undefined
  })
  expect(Object.fromEntries(events.map(({ subject, message }) => [subject, message]))).toEqual(
    Object.fromEntries(UNDECLARED.map((name, i) => [`old/${i}.img`, expect.stringContaining(REFUSALS[name]?.says ?? '')])),
  )
  const store = `${searching.folder}/store`
  expect((await readdir(`${store}/old`)).toSorted()).toEqual(['0.img', '1.img', '2.img'])
  await expectEmpty(searching, store)
})

const noise = seededBytes(300_000, 11)

/** Serves the bytes of REFUSALS by their names. */
function servedFiles(): { readonly url: string } & AsyncDisposable {
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch: ({ url }) => new Response(new Uint8Array(REFUSALS[decodeURIComponent(new URL(url).pathname.slice(1))]?.bytes ?? [])),
  })
  return { url: `http://127.0.0.1:${server.port}`, [Symbol.asyncDispose]: () => server.stop(true) }
}

/** Sends a request of tus 1.0. */
function tus(to: AgentProcess, method: string, path: string, headers: Record<string, string>, body?: Uint8Array): Promise<Response> {
  return fetch(`${to.url}${path}`, { method, headers: to.headers({ 'tus-resumable': '1.0.0', ...headers }), ...(body && { body: new Uint8Array(body) }) })
}

/** Waits until the image with this name is in error. */
function untilRefused(at: AgentProcess, name: string): Promise<Image> {
  return until('the image is refused', async () => {
    const [image] = (await at.client.images.list({ name })).items
    return image?.status === 'error' ? image : undefined
  })
}

/** Passes requests to an agent, with another path; and its JSON answers about images, with another text. */
function liarBefore(
  to: AgentProcess,
  otherPath: (path: string) => string = (path) => path,
  otherText: (text: string) => string = (text) => text,
): { readonly url: string } & AsyncDisposable {
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    async fetch(request) {
      const { pathname, search } = new URL(request.url)
      const body = await request.arrayBuffer()
      const headers = new Headers(request.headers)
      headers.delete('host')
      headers.delete('accept-encoding')
      const init = { method: request.method, headers, ...(body.byteLength > 0 && { body }) }
      const answer = await fetch(to.url + otherPath(pathname) + search, init)
      const isImage = answer.headers.get('content-type')?.startsWith('application/json') === true && pathname.startsWith('/v1/images')
      return new Response(isImage ? otherText(await answer.text()) : answer.body, {
        status: answer.status,
        headers: isImage ? { 'content-type': 'application/json' } : answer.headers,
      })
    },
  })
  return { url: `http://127.0.0.1:${server.port}`, [Symbol.asyncDispose]: () => server.stop(true) }
}
