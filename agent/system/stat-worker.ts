// Worker that asks for the states of files, see stat-all.ts.

import { lstatSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { errorCode, errorText, hasCode } from '../../protocol/errors.ts'
import { FILE_KINDS, NUMBERS_PER_FILE } from './stat-messages.ts'
import type { StatReply, StatRequest } from './stat-messages.ts'

declare const self: Worker

self.addEventListener('message', ({ data }: MessageEvent<StatRequest>) => {
  try {
    const states = readStates(data.paths.split('\0'))
    self.postMessage({ kind: 'states', states } satisfies StatReply, [states.buffer])
  } catch (error) {
    self.postMessage({ kind: 'failed', message: errorText(error), code: errorCode(error) } satisfies StatReply)
  }
})

/** Returns the states of files. Throws what the file system throws, except for missing files. */
function readStates(paths: readonly string[]): Float64Array<ArrayBuffer> {
  const states = new Float64Array(paths.length * NUMBERS_PER_FILE)
  for (const [i, path] of paths.entries()) {
    const found = stateOf(path)
    if (!found) continue
    const kind = found.isFile() ? 'file' : found.isDirectory() ? 'folder' : found.isSymbolicLink() ? 'link' : 'other'
    states.set([FILE_KINDS.indexOf(kind), found.size, found.mtimeMs, found.ino, found.ctimeMs], i * NUMBERS_PER_FILE)
  }
  return states
}

function stateOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })
  } catch (error) {
    if (hasCode(error, 'ENOTDIR')) return undefined
    throw error
  }
}
