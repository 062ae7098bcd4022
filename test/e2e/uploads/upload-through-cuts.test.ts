// A real image, created by mke2fs and qemu-img, uploaded by tus-js-client over a link that breaks, downloaded by curl, and compared by
// qemu-img.

import { afterAll, beforeAll, describe, expect } from 'bun:test'
import { statSync } from 'node:fs'
import type { Image } from '../../../protocol/images/image.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { createCuttingProxy } from '../../support/clients/cutting-proxy.ts'
import { digestOfFile, hasImageTools, makeSmallImage, requireImageTools, run, SMALL_IMAGE_BYTES } from '../../support/images/small-image.ts'
import type { SmallImage } from '../../support/images/small-image.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { startTusUpload } from '../../support/clients/tus-upload.ts'
import { until } from '../../support/until.ts'

const MIB = 1024 * 1024
const CUTS = 5
const imageTest = requireImageTools()

describe('a real image through a link that is cut five times', () => {
  let folder: TemporaryFolder
  let agent: AgentProcess
  let original: SmallImage
  let digest: string
  let image: Image

  /** Runs curl; returns the status, the headers of the response in lower case, and the body in a file. */
  const curl = async (file: string, ...options: string[]): Promise<{ status: number; headers: Map<string, string>; file: string }> => {
    const path = folder.file(file)
    const url = `${agent.url}/v1/images/${image.id}/content`
    const head = await run('curl', '-sS', '-o', path, '-D', '-', '-H', `Authorization: Bearer ${TEST_ADMIN_TOKEN}`, ...options, url)
    const [statusLine = '', ...lines] = head.trim().split('\r\n')
    const headers = new Map(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]))
    return { status: Number(statusLine.split(' ')[1]), headers, file: path }
  }

  beforeAll(async () => {
    if (!hasImageTools()) return
    folder = await createTemporaryFolder()
    agent = await startAgent(folder.path)
    original = await makeSmallImage(folder.file('images'))
    digest = await digestOfFile(original.qcow2)
  }, 180_000)
  afterAll(async () => {
    await agent?.[Symbol.asyncDispose]()
    await folder?.[Symbol.asyncDispose]()
  })

  imageTest(
    'arrives whole by tus-js-client in Node',
    async () => {
      await using proxy = await createCuttingProxy(Number(new URL(agent.url).port), { cutAfter: 9 * MIB + 4321, direction: 'up', reset: true })
      proxy.setFaults({ cutAfter: 9 * MIB + 4321, direction: 'up', reset: true }, CUTS)
      await using upload = startTusUpload({ url: proxy.url, file: original.qcow2, metadata: { filename: 'debian.qcow2', name: 'debian' } })
      const location = await upload.image()
      expect(proxy.cuts).toBe(CUTS)
      // The client asked for the offset after each cut, and never started over.
      const heads = upload.answers.filter(({ method }) => method === 'HEAD').map(({ offset }) => offset ?? 0)
      expect(heads.length).toBeGreaterThanOrEqual(CUTS)
      expect(heads.toSorted((a, b) => a - b)).toEqual(heads)
      expect(upload.answers.filter(({ method }) => method === 'POST')).toHaveLength(1)
      const length = statSync(original.qcow2).size
      expect(proxy.bytes.up).toBeLessThan(length + CUTS * 2 * MIB)

      const id = location.split('/').at(-1) ?? ''
      image = await until('the image has its digest', async () => {
        const found = await agent.client.images.get(id)
        return found.digest === null ? undefined : found
      })
      expect(image).toMatchObject({ name: 'debian', status: 'available', format: 'qcow2', virtualSize: SMALL_IMAGE_BYTES, length, digest })
    },
    180_000,
  )

  imageTest(
    'is read back bit for bit by curl, and is identical to the original for qemu-img',
    async () => {
      const { status, headers, file } = await curl('download.qcow2')
      expect(status).toBe(200)
      expect(await digestOfFile(file)).toBe(digest)
      expect(headers.get('etag')).toBe(`"${image.manifestDigest}"`)
      expect(headers.get('accept-ranges')).toBe('bytes')
      expect(headers.get('content-disposition')).toContain('filename="debian.qcow2"')
      expect(headers.get('repr-digest')).toBe(`sha-256=:${Buffer.from(digest.slice(7), 'hex').toString('base64')}:`)
      await run('qemu-img', 'check', '-q', file)
      expect(await run('qemu-img', 'compare', file, original.qcow2)).toContain('identical')
      expect(await run('qemu-img', 'compare', '-f', 'qcow2', '-F', 'raw', file, original.raw)).toContain('identical')
    },
    180_000,
  )

  imageTest(
    'resumes an interrupted download, and starts over when the image has changed',
    async () => {
      const bytes = new Uint8Array(await Bun.file(original.qcow2).arrayBuffer())
      const etag = `"${image.manifestDigest}"`
      const middle = 17 * MIB + 13
      const rest = await curl('rest.part', '-H', `If-Range: ${etag}`, '-r', `${middle}-`)
      expect(rest.status).toBe(206)
      expect(rest.headers.get('content-range')).toBe(`bytes ${middle}-${bytes.byteLength - 1}/${bytes.byteLength}`)
      expect(Buffer.compare(await Bun.file(rest.file).bytes(), bytes.subarray(middle))).toBe(0)
      const few = await curl('few.part', '-r', '-77')
      expect(few.status).toBe(206)
      expect(Buffer.compare(await Bun.file(few.file).bytes(), bytes.subarray(-77))).toBe(0)
      const other = await curl('other.part', '-H', `If-Range: "sha256:${'0'.repeat(64)}"`, '-r', `${middle}-`)
      expect(other.status).toBe(200)
      expect(await digestOfFile(other.file)).toBe(digest)
      expect((await curl('same.part', '-H', `If-None-Match: ${etag}`)).status).toBe(304)
      expect((await curl('beyond.part', '-r', `${bytes.byteLength}-`)).status).toBe(416)
    },
    180_000,
  )
})
