// How an import puts the bytes of a source into the store: cuts, changes of the source, wrong lengths, cancels, retries and refusals.

import { expect, test } from 'bun:test'
import { SourceInterrupted } from '../../../agent/imports/source.ts'
import type { ImportScheme, SourceFacts } from '../../../agent/imports/source.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { problemCode } from '../../../protocol/problems.ts'
import type { Task } from '../../../protocol/task.ts'
import { openImportStore, orderOf } from '../../support/agents/import-store.ts'
import { seededBytes } from '../../support/images/image-store.ts'
import { until } from '../../support/until.ts'

const LOCATION = { kind: 'path', path: '/source' } as const
const PIECE = 256 * 1024

/** A source in memory that a test controls. */
interface Script {
  bytes: Uint8Array
  facts: Partial<SourceFacts>
  /** Offsets at which the next reads are cut, one for each read. */
  cuts: number[]
  /** Reads so far: the offset of each. */
  readonly reads: number[]
  /** Called before each piece. */
  beforePiece: (at: number, signal: AbortSignal) => Promise<void>
  refusal: Error | undefined
}

function scripted(bytes: Uint8Array, facts: Partial<SourceFacts> = {}): { script: Script; schemes: ImportScheme[] } {
  const script: Script = { bytes, facts, cuts: [], reads: [], beforePiece: async () => {}, refusal: undefined }
  const scheme: ImportScheme = {
    accepts: () => true,
    check: async () => {},
    source: () => ({
      async open() {
        if (script.refusal) throw script.refusal
        return {
          facts: { length: script.bytes.byteLength, filename: 'source', validator: 'v1', canResume: true, ...script.facts },
          async *read(offset, signal) {
            script.reads.push(offset)
            const cut = script.cuts.shift() ?? Number.POSITIVE_INFINITY
            for (let at = offset; at < script.bytes.byteLength; at += PIECE) {
              await script.beforePiece(at, signal)
              signal.throwIfAborted()
              if (at + PIECE > cut) {
                yield script.bytes.slice(at, cut)
                throw new SourceInterrupted('the connection was lost')
              }
              yield script.bytes.slice(at, at + PIECE)
            }
          },
          async [Symbol.asyncDispose]() {},
        }
      },
    }),
  }
  return { script, schemes: [scheme] }
}

const outcome = (task: Task): string => (task.error ? problemCode(task.error) : task.state)
const CONTENT = seededBytes(5_000_000, 7)
const CONTENT_DIGEST = `sha256:${new Bun.CryptoHasher('sha256').update(CONTENT).digest('hex')}`

test('an import that is cut three times continues at the durable offset and has the right digest', async () => {
  const { script, schemes } = scripted(CONTENT)
  await using target = await openImportStore({ schemes })
  script.cuts = [1_500_000, 3_000_001, 4_999_999]
  const task = await target.import({ location: LOCATION, draft: { name: 'imported', description: '', digest: CONTENT_DIGEST } })
  expect(task.error).toBeUndefined()
  expect(script.reads).toEqual([0, 1_500_000, 3_000_001, 4_999_999])
  expect(task.progress).toMatchObject({ done: 5_000_000, total: 5_000_000, unit: 'bytes' })
  const image = target.store.catalogue.need(task.subject)
  expect(image).toMatchObject({ status: 'available', digest: CONTENT_DIGEST, length: 5_000_000, source: { kind: 'url', filename: 'source', url: null } })
  expect(await target.store.read(image.id)).toEqual(Buffer.from(CONTENT))
})

test('a source that cannot begin in the middle is read from its beginning, and what is stored is skipped', async () => {
  const { script, schemes } = scripted(CONTENT, { canResume: false, length: null })
  await using target = await openImportStore({ schemes })
  script.cuts = [2_000_000]
  const task = await target.import({ location: LOCATION })
  expect(outcome(task)).toBe('succeeded')
  expect(script.reads).toEqual([0, 0])
  expect(await target.store.read(task.subject)).toEqual(Buffer.from(CONTENT))
})

test('a source that changed after a cut is imported from its beginning', async () => {
  const { script, schemes } = scripted(CONTENT)
  const other = seededBytes(4_000_000, 8)
  await using target = await openImportStore({ schemes })
  script.cuts = [2_000_000]
  script.beforePiece = async (at) => {
    if (at < 1_500_000 || script.reads.length > 1) return
    script.facts = { validator: 'v2' }
    // The first read still brings the old bytes, up to its cut.
    if (at + PIECE > 2_000_000) queueMicrotask(() => (script.bytes = other))
  }
  const task = await target.import({ location: LOCATION })
  expect(outcome(task)).toBe('succeeded')
  expect(script.reads).toEqual([0, 0])
  expect(await target.store.read(task.subject)).toEqual(Buffer.from(other))
})

test('a source that changes at every attempt fails the import, which leaves nothing', async () => {
  const { script, schemes } = scripted(CONTENT)
  await using target = await openImportStore({ schemes })
  script.cuts = Array.from({ length: 20 }, () => 2_000_000)
  script.beforePiece = async (at) => {
    if (at === 0) script.facts = { validator: `v${script.reads.length + 1}` }
  }
  expect(outcome(await target.import({ location: LOCATION }))).toBe('source-changed')
  expect(target.uploads.stats().unfinished).toBe(0)
  expect(await Array.fromAsync(target.uploads.roots.list())).toEqual([])
})

test('a source without a validator is imported from its beginning after a cut', async () => {
  const { script, schemes } = scripted(CONTENT, { validator: null })
  await using target = await openImportStore({ schemes })
  script.cuts = [2_000_000]
  const task = await target.import({ location: LOCATION })
  expect(script.reads).toEqual([0, 0])
  expect(await target.store.read(task.subject)).toEqual(Buffer.from(CONTENT))
})

test('a source that goes on after its length is refused', async () => {
  const { schemes } = scripted(CONTENT, { length: 4_000_000 })
  await using target = await openImportStore({ schemes })
  expect(outcome(await target.import({ location: LOCATION }))).toBe('payload-too-large')
  expect(target.uploads.stats().unfinished).toBe(0)
})

test('a source that always ends before its length fails, and a retry continues where it ended', async () => {
  const { script, schemes } = scripted(CONTENT.slice(0, 4_000_000), { length: 5_000_000 })
  await using target = await openImportStore({ schemes })
  const task = await target.import({ location: LOCATION })
  expect(outcome(task)).toBe('source-unreachable')
  expect(task.error?.detail).toContain('it ended after 4000000 of 5000000 bytes')
  script.bytes = CONTENT
  script.reads.length = 0
  target.tasks.retry(task.id, 'ann')
  expect(outcome(await target.tasks.ended(task.id))).toBe('succeeded')
  expect(script.reads).toEqual([4_000_000])
  expect(await target.store.read(task.subject)).toEqual(Buffer.from(CONTENT))
})

test('an empty source is refused by its inspection', async () => {
  const { schemes } = scripted(new Uint8Array(0))
  await using target = await openImportStore({ schemes })
  const task = await target.import({ location: LOCATION })
  expect(outcome(task)).toBe('invalid-input')
  expect(task.error?.detail).toStartWith('The upload was empty')
})

test('a wrong digest fails the task, and the image never becomes available', async () => {
  const { schemes } = scripted(CONTENT)
  await using target = await openImportStore({ schemes })
  const task = await target.import({ location: LOCATION, draft: { name: 'imported', description: '', digest: `sha256:${'0'.repeat(64)}` } })
  expect(outcome(task)).toBe('digest-mismatch')
  expect(target.store.catalogue.need(task.subject).status).toBe('error')
})

test('a cancel removes what arrived', async () => {
  const { script, schemes } = scripted(CONTENT)
  await using target = await openImportStore({ schemes })
  const reached = Promise.withResolvers<void>()
  script.beforePiece = (at, signal) => {
    if (at < 3_000_000) return Promise.resolve()
    reached.resolve()
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
  }
  const { id } = await target.imports.start(orderOf({ location: LOCATION }))
  await reached.promise
  target.tasks.cancel(id, 'ann')
  expect((await target.tasks.ended(id)).state).toBe('cancelled')
  await until('the upload is gone', () => target.uploads.stats().unfinished === 0)
  expect(target.store.catalogue.list({}, { limit: 10 }).items).toEqual([])
})

test('clients see the upload of an import, but cannot append to it or delete it, and it does not expire', async () => {
  const { script, schemes } = scripted(CONTENT)
  const nowMs = Date.now()
  let laterMs = 0
  await using target = await openImportStore({
    schemes,
    uploads: { clock: { ...systemClock, nowMs: () => nowMs + laterMs } },
  })
  const held = Promise.withResolvers<void>()
  const reached = Promise.withResolvers<void>()
  script.beforePiece = (at) => {
    if (at < 1_000_000) return Promise.resolve()
    reached.resolve()
    return held.promise
  }
  const { id } = await target.imports.start(orderOf({ location: LOCATION }))
  await reached.promise
  const [root] = await Array.fromAsync(target.uploads.roots.list())
  const upload = root?.name.replace('upload ', '') ?? ''
  const actor = { name: 'ann', role: 'uploader', tokenId: 'tok_ann' } as const
  expect(await target.uploads.show(upload, actor)).toMatchObject({ id: upload, length: 5_000_000, expiresAtMs: null })
  const body = { stream: null, length: 0, declaredLength: undefined, checksum: undefined, isSlices: false }
  expect(target.uploads.append(upload, { actor, offset: 0, body })).rejects.toThrow(`Upload ${upload} is filled by the task ${id}.`)
  expect(target.uploads.remove(upload, actor)).rejects.toThrow(`Upload ${upload} is filled by the task ${id}.`)
  expect(target.uploads.show(upload, { name: 'bob', role: 'uploader', tokenId: 'tok_bob' })).rejects.toThrow(`There is no upload "${upload}".`)
  laterMs = 10 * 86_400_000
  expect(await target.uploads.expire()).toEqual([])
  laterMs = 0
  held.resolve()
  expect(outcome(await target.tasks.ended(id))).toBe('succeeded')
})

test('a length over the space above the reserve is refused before a byte is read', async () => {
  const { script, schemes } = scripted(CONTENT)
  const space = {
    state: async () => ({ totalBytes: 1e9, freeBytes: 1e6, reservedBytes: 0, promisedBytes: 0, availableBytes: 1e6 }),
    promise: async () => true,
    promiseShare: async ({ fitting }: { fitting: number }) => fitting <= 1e6,
    isBelowReserve: async () => false,
  }
  await using target = await openImportStore({ schemes, uploads: { space } })
  const plan = await target.imports.plan(orderOf({ location: LOCATION }), new AbortController().signal)
  expect(plan).toMatchObject({
    space: { neededBytes: 5_000_000, availableBytes: 1e6 },
    objections: ['The source has 5.0 MB; the store has 1.0 MB above its reserve.'],
  })
  expect(outcome(await target.import({ location: LOCATION }))).toBe('insufficient-storage')
  expect(script.reads).toEqual([])
})

test('the limit of the owner is checked before the task starts', async () => {
  const { schemes } = scripted(CONTENT)
  await using target = await openImportStore({ schemes, imagesPerOwnerMax: 1 })
  expect(outcome(await target.import({ location: LOCATION, draft: { name: 'a', description: '', owner: 'ann' } }))).toBe('succeeded')
  expect(target.import({ location: LOCATION, draft: { name: 'b', description: '', owner: 'ann' } })).rejects.toThrow('Maximum image limit reached')
})

test('the same order twice is one task', async () => {
  const { schemes } = scripted(CONTENT)
  await using target = await openImportStore({ schemes })
  const [first, second] = await Promise.all([target.imports.start(orderOf({ location: LOCATION })), target.imports.start(orderOf({ location: LOCATION }))])
  expect(second.id).toBe(first.id)
  await target.tasks.ended(first.id)
})
