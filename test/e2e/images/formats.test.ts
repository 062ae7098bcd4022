// Images of all formats through a real agent: what is refused says why and what to do, and leaves nothing behind once it is deleted.

import { readdir } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { Image } from '../../../protocol/images/image.ts'
import { startAgent } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { seededBytes } from '../../support/images/image-store.ts'
import { buildQcow2, changedQcow2 } from '../../support/images/qcow2-image.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

/** Returns an ISO 9660 disc with one volume of 24 blocks. */
function isoImage(): Uint8Array {
  const bytes = new Uint8Array(24 * 2048)
  const view = new DataView(bytes.buffer)
  const put = (at: number, text: string): void => {
    bytes.set(Buffer.from(text, 'latin1'), at)
  }
  const volume = 16 * 2048
  put(volume, '\u0001CD001\u0001')
  view.setUint32(volume + 80, 24, true)
  view.setUint32(volume + 84, 24)
  view.setUint16(volume + 120, 1, true)
  view.setUint16(volume + 122, 1)
  view.setUint16(volume + 124, 1, true)
  view.setUint16(volume + 126, 1)
  view.setUint16(volume + 128, 2048, true)
  view.setUint16(volume + 130, 2048)
  put(volume + 2048, '\u00ffCD001\u0001')
  return bytes
}

interface Sent {
  readonly status: number
  readonly code: string | null
  /** The image when its inspection has ended; null if the upload was refused. */
  readonly image: Image | null
}

describe('an agent', () => {
  let folder: TemporaryFolder
  let agent: AgentProcess
  const tokens: Record<string, string> = {}

  beforeAll(async () => {
    folder = await createTemporaryFolder()
    agent = await startAgent(folder.path)
    for (const role of ['uploader', 'operator'] as const) {
      const answer = await fetch(`${agent.url}/v1/tokens`, {
        method: 'POST',
        headers: agent.headers({ 'Content-Type': 'application/json' }),
        body: JSON.stringify({ name: `the ${role}`, role }),
      })
      tokens[role] = ((await answer.json()) as { token: string }).token
    }
  }, 60_000)
  afterAll(async () => {
    await agent[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })

  /** Uploads bytes with one request, and waits until they have been inspected. */
  async function send(bytes: Uint8Array, metadata: Record<string, string> = {}, role?: 'uploader' | 'operator'): Promise<Sent> {
    const encoded = Object.entries({ name: 'one', ...metadata }).map(([key, value]) => `${key} ${Buffer.from(value).toString('base64')}`)
    const headers = new Headers({
      ...agent.headers(),
      'Tus-Resumable': '1.0.0',
      'Upload-Length': String(bytes.byteLength),
      'Upload-Metadata': encoded.join(','),
      'Content-Type': 'application/offset+octet-stream',
    })
    if (role) headers.set('Authorization', `Bearer ${tokens[role]}`)
    const answer = await fetch(`${agent.url}/v1/uploads`, { method: 'POST', headers, body: new Uint8Array(bytes) })
    if (answer.status !== 201) {
      const { type } = (await answer.json()) as { type: string }
      return { status: answer.status, code: type.replace('urn:slipway:problem:', ''), image: null }
    }
    const id = answer.headers.get('content-location')?.replace('/v1/images/', '') ?? ''
    await until('the image is inspected', async () => ['available', 'error'].includes((await agent.client.images.get(id)).status))
    return { status: 201, code: null, image: await agent.client.images.get(id) }
  }

  test.each<[string, () => Uint8Array, Record<string, string>, { reason: string; refusal: string; detected: string }]>([
    [
      'a backing file',
      () => changedQcow2((view) => view.setBigUint64(8, 4096n)),
      {},
      { reason: 'Unsafe image: it has a backing file.', refusal: 'unsafe-image', detected: 'qcow2' },
    ],
    [
      'half of a qcow2',
      () => buildQcow2().bytes.subarray(0, 6 * 65_536),
      {},
      { reason: 'Unsafe image: a data cluster is beyond the end of the file.', refusal: 'unsafe-image', detected: 'qcow2' },
    ],
    [
      'qcow2 as raw',
      () => buildQcow2().bytes,
      { format: 'raw' },
      { reason: 'Format mismatch: declared as raw, but its bytes are qcow2.', refusal: 'format-mismatch', detected: 'qcow2' },
    ],
    [
      'a vdi',
      () => Buffer.concat([new Uint8Array(64), Buffer.from('7f10dabe', 'hex'), seededBytes(100_000, 3)]),
      {},
      { reason: 'Format not supported: the file is a disk of VirtualBox (vdi). Run qemu-img convert -f vdi', refusal: 'unsupported-format', detected: 'vdi' },
    ],
    [
      'a fixed vhd as raw',
      () => Buffer.concat([seededBytes(65_536, 5), Buffer.from('conectix'), new Uint8Array(504)]),
      { format: 'raw' },
      { reason: 'Format mismatch: declared as raw, but the file is a damaged disk of Hyper-V', refusal: 'format-mismatch', detected: 'vhd' },
    ],
    [
      'an ISO as a template',
      isoImage,
      { kind: 'template' },
      { reason: 'Format mismatch: An image of the kind template is raw, qcow2 or vmdk, not iso.', refusal: 'format-mismatch', detected: 'iso' },
    ],
    [
      'a disk as an installation image',
      () => seededBytes(200_000, 9),
      { kind: 'iso' },
      { reason: 'Format mismatch: An image of the kind iso is iso, not raw.', refusal: 'format-mismatch', detected: 'raw' },
    ],
    ['nothing', () => new Uint8Array(0), {}, { reason: 'The upload was empty', refusal: 'invalid-input', detected: 'unknown' }],
  ])(
    'refuses %s, and leaves nothing once it is deleted',
    async (_name, make, metadata, { reason, refusal, detected }) => {
      const { image } = await send(make(), metadata)
      expect(image).toMatchObject({ status: 'error', statusReason: expect.stringContaining(reason) })
      expect(image?.formatDetails?.refusal ?? '').toBe(refusal)
      expect(image?.formatDetails?.detected ?? '').toBe(detected)
      const address = `${agent.url}/v1/images/${image?.id}`
      expect((await fetch(`${address}/content`, { headers: agent.headers() })).status).toBe(409)
      expect((await fetch(`${address}?permanent=true`, { method: 'DELETE', headers: agent.headers() })).status).toBe(204)
      await expectEmpty()
    },
    60_000,
  )

  /** Collects garbage, and checks that the store has no slice, no image and no upload. */
  async function expectEmpty(): Promise<void> {
    const started = await fetch(`${agent.url}/v1/store/cleanup`, {
      method: 'POST',
      headers: agent.headers({ 'Content-Type': 'application/json' }),
      body: '{"dryRun":false}',
    })
    const { id } = (await started.json()) as { id: string }
    await until('garbage is collected', async () => {
      const task = (await (await fetch(`${agent.url}/v1/tasks/${id}`, { headers: agent.headers() })).json()) as { state: string }
      expect(task.state).not.toBe('failed')
      return task.state === 'succeeded'
    })
    expect((await agent.client.store.get()).slices.count).toBe(0)
    expect(await readdir(folder.file('store', 'images'))).toEqual([])
  }

  describe('lets add installation images', () => {
    test('an administrator', async () => {
      const { image } = await send(isoImage())
      expect(image).toMatchObject({ status: 'available', kind: 'iso', format: 'iso' })
    })

    test.each(['uploader', 'operator'] as const)('no %s, declared or not', async (role) => {
      expect(await send(isoImage(), { kind: 'iso' }, role)).toMatchObject({ status: 403, code: 'forbidden' })
      expect(await send(isoImage(), { format: 'iso' }, role)).toMatchObject({ status: 403, code: 'forbidden' })
      const { image } = await send(isoImage(), {}, role)
      expect(image).toMatchObject({ status: 'error', formatDetails: { refusal: 'forbidden' }, statusReason: expect.stringContaining('Ask an administrator') })
    })

    test('nobody with a kind that has another format', async () => {
      expect(await send(isoImage(), { kind: 'template', format: 'iso' })).toMatchObject({ status: 422, code: 'format-mismatch' })
    })
  })
})
