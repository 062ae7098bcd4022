// Mutation-based fuzzing: inputs grow out of a corpus of valid encodings for as long as SLIPWAY_FUZZ_SECONDS says, 20 s under CI and 2 s in
// the quick local run. The seed is printed first and accepted as SLIPWAY_SEED; a finding is thrown with its input in Base64.

import { createRandom, runSeed } from './properties.ts'
import type { Random } from './properties.ts'

/** Seconds that the fuzzers of one file run together. */
const FUZZ_SECONDS = Number(process.env['SLIPWAY_FUZZ_SECONDS'] ?? (process.env['CI'] ? 20 : 2))
/** Time-out of a fuzzing test in milliseconds. */
export const FUZZ_TIMEOUT_MS = FUZZ_SECONDS * 1000 + 120_000
/** Inputs that were accepted and are mutated further. */
const CORPUS_MAX = 400
/** CPU time that no input may take again and again, in milliseconds: the event loop would be held that long. */
const INPUT_MS_MAX = 50
/** Memory that may be held beyond what the first inputs took, in bytes, as the collector leaves it. */
const GROWTH_BYTES_MAX = 192 * 1024 * 1024
/** Inputs between two looks at the memory. */
const MEMORY_EVERY = 5000
const INTERESTING = [0, 1, 2, 7, 8, 15, 16, 31, 32, 36, 39, 40, 41, 47, 48, 63, 64, 127, 128, 255]
const INTERESTING_WORDS = [0, 1, 2, 255, 256, 4095, 4096, 65_535, 65_536, 131_072, 4_194_304, 4_194_305, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff]

export interface Fuzzer {
  readonly name: string
  /** Valid inputs to begin with. */
  readonly corpus: readonly Uint8Array[]
  /** Longest input in bytes. */
  readonly lengthMax: number
  /** A valid input with one member changed, by its structure; plain mutations alone without it. */
  readonly make?: (random: Random) => Uint8Array
  /** Tries an input and throws for a finding; gives whether it was accepted, so that it is worth mutating further. */
  run(input: Uint8Array, random: Random): boolean | Promise<boolean>
  /** Part of the file's seconds that this fuzzer takes; all of them when it is not given. */
  readonly share?: number
  /** Whether an input may take longer than INPUT_MS_MAX: it does requests and writes files. */
  readonly isSlow?: boolean
}

export interface FuzzResult {
  readonly seed: number
  readonly iterations: number
  readonly accepted: number
}

/** Runs a fuzzer for its time. Throws the first finding. */
export async function fuzz({ name, corpus: valid, lengthMax, make, run, share = 1, isSlow = false }: Fuzzer): Promise<FuzzResult> {
  const seed = runSeed()
  const random = createRandom(seed)
  const corpus = valid.map((input) => new Uint8Array(input))
  const seconds = FUZZ_SECONDS * share
  console.log(`fuzz ${name}: seed ${seed}, ${seconds} s`)
  const end = performance.now() + seconds * 1000
  let iterations = 0
  let accepted = 0
  let memoryAtFirst: number | undefined
  let input: Uint8Array = new Uint8Array(0)
  try {
    for (const first of corpus) if (!(await run(first, random))) throw new Error('an input of the corpus is refused')
    while (performance.now() < end) {
      input = make && random.chance(0.3) ? make(random) : mutate(random.pick(corpus), corpus, random)
      if (input.byteLength > lengthMax) input = input.subarray(0, lengthMax)
      const before = cpuMs()
      const isAccepted = await run(input, random)
      if (!isSlow && cpuMs() - before > INPUT_MS_MAX) await confirmSlow(run, input, random)
      iterations++
      if (isAccepted) {
        accepted++
        if (corpus.length < CORPUS_MAX) corpus.push(new Uint8Array(input))
        else corpus[valid.length + random.below(CORPUS_MAX - valid.length)] = new Uint8Array(input)
      }
      if (iterations % 256 === 0) await Bun.sleep(0)
      if (iterations % MEMORY_EVERY !== 0) continue
      const bytes = heldBytes()
      memoryAtFirst ??= bytes
      if (bytes - memoryAtFirst > GROWTH_BYTES_MAX) throw new Error(`memory grew by ${bytes - memoryAtFirst} bytes in ${iterations} inputs`)
    }
  } catch (error) {
    const text = Buffer.from(input).toString('base64')
    throw new Error(`fuzz ${name}: SLIPWAY_SEED=${seed}, input ${iterations}: ${String(error)}\ninput (Base64): ${text}`, { cause: error })
  }
  console.log(`fuzz ${name}: seed ${seed}, ${iterations} inputs, ${accepted} accepted`)
  return { seed, iterations, accepted }
}

/** A slow input is slow each time; a busy machine and the collector are not. */
async function confirmSlow(run: Fuzzer['run'], input: Uint8Array, random: Random): Promise<void> {
  let fastest = Number.POSITIVE_INFINITY
  for (let i = 0; i < 3; i++) {
    const before = cpuMs()
    await run(input, random)
    fastest = Math.min(fastest, cpuMs() - before)
  }
  if (fastest > INPUT_MS_MAX) throw new Error(`the input takes ${fastest.toFixed(0)} ms of CPU time each time`)
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

function heldBytes(): number {
  Bun.gc(true)
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** One to four changes of an input, some of them with pieces of other inputs. */
export function mutate(from: Uint8Array, corpus: readonly Uint8Array[], random: Random): Uint8Array {
  let bytes: Uint8Array = new Uint8Array(from)
  for (let changes = 1 + random.below(4); changes > 0; changes--) bytes = change(bytes, corpus, random)
  return bytes
}

function change(bytes: Uint8Array, corpus: readonly Uint8Array[], random: Random): Uint8Array {
  const { byteLength: length } = bytes
  const at = random.below(length + 1)
  const some = Math.min(length - at, 1 + random.below(random.chance(0.2) ? 4096 : 16))
  switch (length === 0 ? 7 : random.below(9)) {
    case 0:
      if (at < length) bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8))
      return bytes
    case 1:
      if (at < length) bytes[at] = random.pick(INTERESTING)
      return bytes
    case 2:
      if (at + 4 <= length) new DataView(bytes.buffer, bytes.byteOffset).setUint32(at, random.pick(INTERESTING_WORDS), true)
      return bytes
    case 3: {
      // A length or an offset that is off by a little.
      if (at + 4 > length) return bytes
      const view = new DataView(bytes.buffer, bytes.byteOffset)
      view.setUint32(at, (view.getUint32(at, true) + random.pick([-4096, -32, -1, 1, 32, 4096])) >>> 0, true)
      return bytes
    }
    case 4:
      return new Uint8Array(bytes.subarray(0, at))
    case 5:
      return joined(bytes.subarray(0, at), bytes.subarray(at + some))
    case 6:
      return joined(bytes.subarray(0, at + some), bytes.subarray(at))
    case 7:
      return joined(bytes.subarray(0, at), random.bytes(1 + random.below(64)), bytes.subarray(at))
    default: {
      const other = random.pick(corpus)
      const from = random.below(other.byteLength + 1)
      return joined(
        bytes.subarray(0, at),
        other.subarray(from, from + random.below(other.byteLength - from + 1)),
        random.chance(0.5) ? bytes.subarray(at) : new Uint8Array(0),
      )
    }
  }
}

/** Bytes one after the other. */
export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

/** Bytes in pieces of random lengths, as a body may bring them. */
export function inPieces(bytes: Uint8Array, random: Random): Uint8Array[] {
  const pieces: Uint8Array[] = []
  const most = random.pick([1, 7, 48, 1000, 65_536])
  for (let at = 0; at < bytes.byteLength;) {
    const length = 1 + random.below(most)
    pieces.push(bytes.subarray(at, at + length))
    at += length
  }
  return pieces
}
