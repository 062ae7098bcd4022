// What every bench is given: the image family, the contestants, a folder to work in, and how often to run.

import { closeSync, existsSync, fsyncSync, openSync, renameSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { ImageFamily } from '../support/images/image-family.ts'
import type { Contestant, Reading } from './contestants.ts'
import type { Command } from './measure.ts'

export interface BenchContext {
  readonly family: ImageFamily
  readonly ours: Reading
  readonly peers: readonly Contestant[]
  /** Our store program with these words. */
  program(...words: string[]): Command
  /** Empty folder of this run, on the disk that is measured. */
  readonly folder: string
  /** Times that each case is run; the median counts. */
  readonly runs: number
  /** Length of the file of random bytes. */
  readonly randomBytes: number
  /** Sizes of the index database to try, in million slices. */
  readonly millions: readonly number[]
  /** Whether cases that take minutes and tens of gigabytes are run too. */
  readonly isLarge: boolean
  /** Progress, for people. */
  say(line: string): void
  /** A file of random bytes of this length, kept between runs. */
  randomFile(name: string, length: number): Promise<string>
}

const PIECE_BYTES = 1024 * 1024

/** Makes the file when it is missing or has another length. */
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
