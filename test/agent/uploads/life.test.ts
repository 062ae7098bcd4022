// Lives of uploads: random creations, appends, cuts, wrong offsets, checksums, deletions, collections of garbage and
// restarts, against a model that knows only what was told.

import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { ProblemError } from '../../../protocol/problems.ts'
import type { UploadBody } from '../../../agent/uploads/append-body.ts'
import { startChecksum } from '../../../agent/uploads/body/checksum.ts'
import { startUploadServer, TOKENS } from '../../support/agents/upload-server.ts'
import type { UploadServer } from '../../support/agents/upload-server.ts'

const actor = TOKENS['admin-secret'] ?? { name: 'root', role: 'admin' }

interface Modelled {
  readonly id: string
  readonly content: Buffer
  isDeferred: boolean
  offset: number
  imageId: string | null
  isGone: boolean
}

const size = fc.oneof(fc.nat({ max: 300 }), fc.integer({ min: 4000, max: 9000 }), fc.integer({ min: 60_000, max: 400_000 }))
const pick = fc.nat({ max: 5 })
const operation = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('create' as const), length: size, isDeferred: fc.boolean(), brings: fc.nat({ max: 1000 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      pick,
      length: size,
      pieces: fc.integer({ min: 1, max: 5 }),
      how: fc.constantFrom('whole', 'whole', 'cut', 'checksum', 'wrong-checksum', 'cut-checksum', 'wrong-offset', 'too-long'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('show' as const), pick }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), pick }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'collect' as const }) },
)
type Operation = typeof operation extends fc.Arbitrary<infer Value> ? Value : never

function bodyOf(bytes: Buffer, pieces: number, more: Partial<UploadBody> & { isCut?: boolean } = {}): UploadBody {
  const { isCut = false, ...rest } = more
  const step = Math.max(1, Math.ceil(bytes.byteLength / pieces))
  let at = 0
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at < bytes.byteLength) {
        controller.enqueue(new Uint8Array(bytes.subarray(at, at + step)))
        at += step
      } else if (isCut) controller.error(new Error('connection lost'))
      else controller.close()
    },
  })
  return { stream, length: undefined, declaredLength: undefined, checksum: undefined, isSlices: false, ...rest }
}

function contentOf(seed: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  let state = seed * 2_654_435_761 + 1
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    // Long runs of zeros, as in disk images.
    bytes[i] = (i >> 15) % 3 === 1 ? 0 : state >>> 24
  }
  return bytes
}

async function code(run: () => Promise<unknown>): Promise<string> {
  try {
    await run()
    return 'done'
  } catch (error) {
    if (error instanceof ProblemError) return error.code
    throw error
  }
}

async function create(server: UploadServer, model: Modelled[], { length, isDeferred, brings }: Extract<Operation, { kind: 'create' }>): Promise<void> {
  const content = contentOf(model.length, length)
  const first = content.subarray(0, Math.min(brings, length))
  const order = { actor, length: isDeferred ? null : length, metadata: undefined, concatHeader: undefined, concat: undefined }
  const view = await server.uploads.create(order, first.byteLength > 0 ? bodyOf(first, 2) : undefined)
  expect(view.offset).toBe(first.byteLength)
  model.push({ id: view.id, content, isDeferred, offset: view.offset, imageId: view.imageId, isGone: false })
}

async function append(server: UploadServer, upload: Modelled, { length, pieces, how }: Extract<Operation, { kind: 'append' }>): Promise<void> {
  const rest = upload.content.subarray(upload.offset, upload.offset + length)
  const declaredLength = upload.isDeferred ? upload.content.byteLength : undefined
  const send = (bytes: Buffer, offset = upload.offset, more = {}) =>
    server.uploads.append(upload.id, { actor, offset, body: bodyOf(bytes, pieces, { declaredLength, ...more }) })
  const sha = startChecksum('sha256')
  sha.update(rest)
  const checksum = { algorithm: 'sha256', expected: sha.digest() } as const
  switch (how) {
    case 'whole':
    case 'checksum': {
      const view = await send(rest, upload.offset, how === 'checksum' ? { checksum } : {})
      expect(view.offset).toBe(upload.offset + rest.byteLength)
      upload.offset = view.offset
      break
    }
    case 'cut':
      expect(['upload-cut', 'done']).toContain(await code(() => send(rest, upload.offset, { isCut: true })))
      // Every byte that was delivered before the connection broke counts.
      upload.offset += rest.byteLength
      break
    case 'cut-checksum':
      expect(['upload-cut', 'done']).toContain(await code(() => send(rest, upload.offset, { isCut: true, checksum })))
      break
    case 'wrong-checksum':
      expect(await code(() => send(rest, upload.offset, { checksum: { ...checksum, expected: new Uint8Array(32) } }))).toBe('checksum-mismatch')
      break
    case 'wrong-offset':
      expect(await code(() => send(rest, upload.offset + 1))).toBe('offset-mismatch')
      return
    case 'too-long': {
      const tooMuch = Buffer.concat([upload.content.subarray(upload.offset), Buffer.alloc(1)])
      expect(await code(() => send(tooMuch, upload.offset, { length: tooMuch.byteLength }))).toBe('payload-too-large')
      break
    }
    default:
      how satisfies never
  }
  upload.isDeferred = false
}

async function check(server: UploadServer, upload: Modelled): Promise<void> {
  if (upload.isGone) {
    expect(await code(() => server.uploads.show(upload.id, actor))).toBe('not-found')
    return
  }
  const view = await server.uploads.show(upload.id, actor)
  expect(view.offset).toBe(upload.offset)
  expect(view.length).toBe(upload.isDeferred ? null : upload.content.byteLength)
  const isWhole = !upload.isDeferred && upload.offset === upload.content.byteLength
  expect(view.imageId !== null).toBe(isWhole)
  if (view.imageId === null) return
  expect(upload.imageId ?? view.imageId).toBe(view.imageId)
  upload.imageId = view.imageId
  expect(Buffer.compare(server.content(view.imageId), upload.content)).toBe(0)
}

async function collect(server: UploadServer): Promise<void> {
  const live = []
  for await (const root of server.uploads.roots.list()) for await (const entry of root.entries()) live.push(entry)
  for (const image of server.publisher.images.values()) live.push(...image.entries)
  server.slices.sweep(live)
}

test('after any sequence of operations, an upload has every acknowledged byte, and its image equals the bytes sent', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 25 }), async (operations) => {
      await using server = await startUploadServer({ concurrency: 2 })
      const model: Modelled[] = []
      for (const one of operations) {
        const upload = 'pick' in one && model.length > 0 ? model[one.pick % model.length] : undefined
        if (one.kind === 'create') await create(server, model, one)
        else if (one.kind === 'restart') await server.restart()
        else if (one.kind === 'collect') await collect(server)
        else if (upload && !upload.isGone && one.kind === 'append') await append(server, upload, one)
        else if (upload && !upload.isGone && one.kind === 'remove') {
          await server.uploads.remove(upload.id, actor)
          upload.isGone = true
        }
        if (upload) await check(server, upload)
        expect(server.slices.open).toBe(0)
        expect(server.slices.pinned().size).toBe(0)
      }
      await server.restart()
      await collect(server)
      for (const upload of model) await check(server, upload)
      expect(new Set(server.publisher.calls).size).toBe(server.publisher.images.size)
    }),
    { numRuns: 60 },
  )
}, 60_000)
