// An agent of version 1 of the protocol between stores, as a target: it sends the requests that such an agent sends, and reads the answers as such an
// agent does, strictly. It imports nothing of the protocol, so that it stays as it is when the protocol changes.

/** Slices of one request, as an agent of version 1 has them. */
const BATCH_SLICES_MAX = 512

/** Copies the content of an image. Throws an Error at anything that an agent of version 1 refuses. */
export async function pullVersion1(url: string, token: string, name: string): Promise<Buffer> {
  const headers = { authorization: `Bearer ${token}`, accept: 'application/json', 'accept-encoding': 'identity' }
  const ask = async (path: string, init: RequestInit = {}): Promise<Buffer> => {
    const answer = await fetch(`${url}/v1/${path}`, { ...init, headers: { ...headers, ...(init.body ? { 'content-type': 'application/json' } : {}) } })
    if (answer.status !== 200) throw new Error(`${path} was answered with ${answer.status}: ${await answer.text()}`)
    return Buffer.from(await answer.arrayBuffer())
  }
  const store = JSON.parse((await ask('store')).toString()) as Record<string, unknown>
  for (const member of ['id', 'name', 'mount', 'capacity', 'slices', 'images', 'uploads', 'transfer', 'retention'])
    if (!(member in store)) throw new Error(`the store has no ${member}`)
  const image = JSON.parse((await ask(`images/${name}`)).toString()) as { id: string; manifestDigest: string; length: number; status: string }
  if (image.status !== 'available') throw new Error(`the image is ${image.status}`)
  const { entries, digest } = readManifest(await ask(`images/${image.id}/manifest`))
  if (digest !== image.manifestDigest) throw new Error('the manifest is not the one of the image')

  const slices = new Map<string, Buffer>()
  const digests = [...new Set(entries.flatMap((entry) => entry.digest ?? []))]
  for (let at = 0; at < digests.length; at += BATCH_SLICES_MAX) {
    const wanted = digests.slice(at, at + BATCH_SLICES_MAX)
    const body = JSON.stringify({ digests: wanted, image: image.id })
    for (const [i, slice] of readFrames(await ask('slices/fetch', { method: 'POST', body })).entries()) {
      const sha256 = new Bun.CryptoHasher('sha256').update(slice).digest('hex')
      if (`sha256:${sha256}` !== wanted[i]) throw new Error('a slice was sent that was not requested')
      slices.set(`sha256:${sha256}`, slice)
    }
  }
  return Buffer.concat(entries.map((entry) => (entry.digest === null ? Buffer.alloc(entry.length) : (slices.get(entry.digest) ?? Buffer.alloc(0)))))
}

interface Entry {
  readonly length: number
  readonly digest: string | null
}

/** Reads a manifest: docs/format.md, "Manifest". */
function readManifest(bytes: Buffer): { readonly entries: readonly Entry[]; readonly digest: string } {
  const count = Number(bytes.readBigUInt64LE(12))
  if (bytes.toString('latin1', 0, 8) !== 'SLIPWAYM' || bytes.readUInt32LE(8) !== 1) throw new Error('not a manifest of version 1')
  if (bytes.readUInt32LE(20) !== 0 || bytes.length !== 32 + 40 * count + 32) throw new Error('the manifest has another length')
  const trailer = bytes.toString('hex', bytes.length - 32)
  if (new Bun.CryptoHasher('sha256').update(bytes.subarray(0, -32)).digest('hex') !== trailer) throw new Error('the manifest is damaged')
  const entries = Array.from({ length: count }, (_none, i) => {
    const at = 32 + 40 * i
    const end = i + 1 < count ? bytes.readBigUInt64LE(at + 40) : bytes.readBigUInt64LE(24)
    const digest = bytes.toString('hex', at + 8, at + 40)
    return { length: Number(end - bytes.readBigUInt64LE(at)), digest: /^0+$/.test(digest) ? null : `sha256:${digest}` }
  })
  return { entries, digest: `sha256:${trailer}` }
}

/** Reads the frames of an answer and returns the uncompressed slices. */
function readFrames(bytes: Buffer): Buffer[] {
  const slices: Buffer[] = []
  for (let at = 0; ;) {
    const header = bytes.subarray(at, at + 48)
    if (header.length < 48) throw new Error('the answer ends before its end frame')
    if (header.subarray(41).some((byte) => byte !== 0)) throw new Error('a frame has bytes set that must be zero')
    const length = header.readUInt32LE(32)
    const stored = header.readUInt32LE(36)
    at += 48
    if (length === 0) {
      if (header.some((byte) => byte !== 0)) throw new Error('an end frame has bytes set that must be zero')
      if (at !== bytes.length) throw new Error('bytes follow the end frame')
      return slices
    }
    const part = bytes.subarray(at, at + stored)
    const slice = header[40] === 1 ? Bun.zstdDecompressSync(part) : part
    if (slice.byteLength !== length) throw new Error('a slice has another length')
    slices.push(Buffer.from(slice))
    at += stored
  }
}
