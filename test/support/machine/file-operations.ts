// Watches what a test does with file handles of node:fs: which operation starts and ends when. The operations are the real ones.

import { spyOn } from 'bun:test'
import { readlinkSync } from 'node:fs'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'

const WATCHED = ['write', 'writeFile', 'datasync', 'sync', 'chmod', 'read', 'close'] as const

/** Calls `onStep` before and after each operation, with the path of the file. An operation ends some turns of the loop later than the real one. */
export async function watchFileOperations(onStep: (name: string, when: 'starts' | 'ends', path: string) => void): Promise<Disposable> {
  const handle = await open('/dev/null')
  const prototype = Object.getPrototypeOf(handle) as FileHandle
  await handle.close()
  const spies = WATCHED.map((name) => {
    const original = prototype[name] as (this: FileHandle, ...words: unknown[]) => Promise<unknown>
    return spyOn(prototype as unknown as Record<string, (...words: unknown[]) => Promise<unknown>>, name).mockImplementation(async function (
      this: FileHandle,
      ...words: unknown[]
    ) {
      const path = readlinkSync(`/proc/self/fd/${this.fd}`)
      onStep(name, 'starts', path)
      const result = await original.apply(this, words)
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
      onStep(name, 'ends', path)
      return result
    })
  })
  return { [Symbol.dispose]: () => spies.forEach((spy) => spy.mockRestore()) }
}
