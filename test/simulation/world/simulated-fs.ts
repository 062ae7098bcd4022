// node:fs as the agents of a simulation see it: the real one, with open files closed when their process ends.

import * as fs from 'node:fs'
import { noteOpened } from './world.ts'

const forgetters = new Map<number, () => void>()

export function openSync(path: string, flags: string | number, mode?: number): number {
  const fd = fs.openSync(path, flags, mode)
  forgetters.set(
    fd,
    noteOpened(() => fs.closeSync(fd)),
  )
  return fd
}

export function closeSync(fd: number): void {
  forgetters.get(fd)?.()
  forgetters.delete(fd)
  fs.closeSync(fd)
}

export const {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} = fs
