// Lengths in the headers of frames, as literals (docs/protocol.md): what each of the three readers takes, and one byte more.

import { describe, expect, test } from 'bun:test'
import { createFrameReader, decodeAnswerFrames, decodeFrames, FrameInvalid } from '../../../protocol/slices/frames.ts'

const MIB = 1_048_576
const DIGEST = new Uint8Array(32).fill(7)

interface Header {
  readonly digest?: Uint8Array
  readonly length: number
  readonly stored: number
  readonly codec: number
}

/** The bytes of a frame by hand: digest, length, stored length, codec, seven zeros, and the stored bytes. */
function frameOf({ digest = DIGEST, length, stored, codec }: Header): Uint8Array {
  const bytes = new Uint8Array(48 + stored)
  const view = new DataView(bytes.buffer)
  bytes.set(digest)
  view.setUint32(32, length, true)
  view.setUint32(36, stored, true)
  view.setUint8(40, codec)
  return bytes
}

async function* piecesOf(...pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces
}

const END = new Uint8Array(48)
const READERS: Readonly<Record<string, (bytes: Uint8Array) => Promise<unknown[]>>> = {
  'of version 1': (bytes) => Array.fromAsync(decodeFrames(piecesOf(bytes, END))),
  'of version 2': (bytes) => Array.fromAsync(decodeAnswerFrames(piecesOf(bytes, END))),
  'of an upload': async (bytes) => {
    const reader = createFrameReader()
    return [...reader.take(bytes), ...reader.take(END)]
  },
}

/** Returns how many frames were read, or `refused`. */
const outcomeOf = (read: Promise<unknown[]>): Promise<string> =>
  read.then(
    (frames) => `${frames.length} read`,
    (error: unknown) => (error instanceof FrameInvalid ? 'refused' : String(error)),
  )

describe.each(Object.entries(READERS))('a frame %s', (_version, read) => {
  test.each<[what: string, header: Header, outcome: string]>([
    ['has a slice of 4 MiB', { length: 4 * MIB, stored: 4 * MIB, codec: 0 }, '1 read'],
    ['has no slice of 4 MiB and a byte', { length: 4 * MIB + 1, stored: 4 * MIB + 1, codec: 0 }, 'refused'],
    ['has no compressed slice of 4 MiB and a byte', { length: 4 * MIB + 1, stored: 1, codec: 1 }, 'refused'],
    ['has a compressed slice of 4 MiB', { length: 4 * MIB, stored: 1, codec: 1 }, '1 read'],
    ['may have as many stored bytes as its slice', { length: 5, stored: 5, codec: 1 }, '1 read'],
    ['has no more stored bytes than its slice', { length: 5, stored: 6, codec: 1 }, 'refused'],
    ['without compression has all bytes of its slice', { length: 5, stored: 4, codec: 0 }, 'refused'],
    ['has a slice of one byte', { length: 1, stored: 1, codec: 0 }, '1 read'],
    ['has codec 0 or 1', { length: 5, stored: 5, codec: 2 }, 'refused'],
  ])('%s', async (_what, header, outcome) => {
    expect(await outcomeOf(read(frameOf(header)))).toBe(outcome)
  })
})

describe('a frame of an upload without bytes', () => {
  const take = (header: Omit<Header, 'stored'>): Promise<string> =>
    outcomeOf(READERS['of an upload']?.(frameOf({ ...header, stored: 0 })) ?? Promise.resolve([]))

  test('refers to a slice of at most 4 MiB', async () => {
    expect([await take({ length: 4 * MIB, codec: 0 }), await take({ length: 4 * MIB + 1, codec: 0 })]).toEqual(['1 read', 'refused'])
  })

  test('says a run of zeros of any length', async () => {
    const digest = new Uint8Array(32)
    expect([await take({ digest, length: 1, codec: 0 }), await take({ digest, length: 0xffff_ffff, codec: 0 })]).toEqual(['1 read', '1 read'])
  })

  test('has no codec', async () => {
    expect(await take({ length: 5, codec: 1 })).toBe('refused')
    expect(await take({ digest: new Uint8Array(32), length: 5, codec: 1 })).toBe('refused')
    expect(await take({ digest: new Uint8Array(32), length: 0, codec: 1 })).toBe('refused')
  })
})
