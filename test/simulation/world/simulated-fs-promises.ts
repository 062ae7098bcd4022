// node:fs/promises as the agents of a simulation see it, for files of the state folder: real files on a memory file system, and every call
// done before it returns, so that no thread of the runtime decides what happens next.

import * as fs from 'node:fs'
import { noteOpened } from './world.ts'

class FileHandle {
  readonly fd: number
  readonly #forget: () => void

  constructor(fd: number) {
    this.fd = fd
    this.#forget = noteOpened(() => fs.closeSync(fd))
  }

  async read(into: Uint8Array | { buffer: Uint8Array }, offset?: number, length?: number, position?: number) {
    if (!(into instanceof Uint8Array)) return { bytesRead: fs.readSync(this.fd, into.buffer), buffer: into.buffer }
    return { bytesRead: fs.readSync(this.fd, into, offset ?? 0, length ?? into.byteLength, position ?? null), buffer: into }
  }
  async write(bytes: Uint8Array, offset?: number, length?: number, position?: number) {
    return { bytesWritten: fs.writeSync(this.fd, bytes, offset ?? 0, length ?? bytes.byteLength, position ?? null), buffer: bytes }
  }
  async writeFile(bytes: string | Uint8Array) {
    fs.writeFileSync(this.fd, bytes)
  }
  async readFile() {
    return fs.readFileSync(this.fd)
  }
  async stat() {
    return fs.fstatSync(this.fd)
  }
  async truncate(length: number) {
    fs.ftruncateSync(this.fd, length)
  }
  async chmod(mode: number) {
    fs.fchmodSync(this.fd, mode)
  }
  async datasync() {}
  async sync() {}
  async close() {
    this.#forget()
    fs.closeSync(this.fd)
  }
  async [Symbol.asyncDispose]() {
    await this.close()
  }
}

export async function open(path: string, flags?: string | number, mode?: number) {
  return new FileHandle(fs.openSync(path, flags ?? 'r', mode))
}
export const mkdir = async (path: string, options?: fs.MakeDirectoryOptions) => fs.mkdirSync(path, options)
export const readdir = async (path: string) => fs.readdirSync(path)
export const readFile = async (path: string) => fs.readFileSync(path)
export const writeFile = async (path: string, bytes: string | Uint8Array) => fs.writeFileSync(path, bytes)
export const rename = async (from: string, to: string) => fs.renameSync(from, to)
export const rm = async (path: string, options?: fs.RmOptions) => fs.rmSync(path, options)
export const link = async (from: string, to: string) => fs.linkSync(from, to)
export const unlink = async (path: string) => fs.unlinkSync(path)
export const lstat = async (path: string) => fs.lstatSync(path)
export const stat = async (path: string) => fs.statSync(path)
export const chmod = async (path: string, mode: number) => fs.chmodSync(path, mode)
export const realpath = async (path: string) => fs.realpathSync(path)
export const statfs = async (path: string) => fs.statfsSync(path)
