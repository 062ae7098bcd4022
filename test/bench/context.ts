// The context of every bench: the image family, the contestants, a working folder, and the number of runs.

import { closeSync, existsSync, fsyncSync, openSync, renameSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { ImageFamily } from '../support/images/image-family.ts'
import type { Contestant, Reading } from './contestants.ts'
import type { Command } from './measure.ts'

export interface BenchContext {
  readonly family: ImageFamily
  readonly ours: Reading
  readonly peers: readonly Contestant[]
  /** Names of the peers to run, for benches with peers of their own; empty for all. */
  readonly peerNames: readonly string[]
  /** Lines of the bench `sync` to run; empty for all. */
  readonly lines: readonly string[]
  /** Returns a command of our store program with these arguments. */
  program(...words: string[]): Command
  /** Empty folder of this run, on the disk that is measured. */
  readonly folder: string
  /** Number of runs of each case; the median counts. */
  readonly runs: number
  /** Length of the file of random bytes. */
  readonly randomBytes: number
  /** Sizes of the index database to try, in million slices. */
  readonly millions: readonly number[]
  /** Whether to run cases that take minutes and tens of gigabytes. */
  readonly isLarge: boolean
  /** Prints progress. */
  say(line: string): void
  /** Returns a file of random bytes of this length, which is kept between runs. */
  randomFile(name: string, length: number): Promise<string>
}

const PIECE_BYTES = 1024 * 1024

/** Creates the file when it is missing or has another length. */
export function randomFileIn(folder: string, name: string, length: number): string {
  const path = join(folder, name)
  if (existsSync(path) && statSync(path).size === length) return path
  const file = openSync(`${path}.part`, 'w')
  for (let at = 0; at < length; at += PIECE_BYTES) {
    const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, length - at))
    for (let i = 0; i < piece.length; i += 65_536) crypto.getRandomValues(piece.subarray(i, Math.min(piece.length, i + 65_536)))
    writeSync(file, piece)
  }
  fsyncSync(file)
  closeSync(file)
  renameSync(`${path}.part`, path)
  return path
}
