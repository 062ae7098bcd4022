// States of many files at a time. A thread of its own asks the file system for one after the other, which costs a third of as many asynchronous calls,
// and leaves the event loop free, also when the file system does not answer.

import type { FileStat, StatAll } from '../contract/disk.ts'
import { FILE_KINDS, NUMBERS_PER_FILE } from './stat-messages.ts'
import type { StatReply, StatRequest } from './stat-messages.ts'

/** Time without a request after which the thread ends, in milliseconds. */
const IDLE_MS = 5000

/** Creates the function. Its thread starts with the first call, and does not keep the process alive. */
export function createStatAll(): StatAll {
  let worker: Worker | undefined
  let idle: ReturnType<typeof setTimeout> | undefined
  const waiting: { resolve: (states: Float64Array) => void; reject: (error: Error) => void }[] = []
  const end = (error: Error): void => {
    worker?.terminate()
    worker = undefined
    for (const { reject } of waiting.splice(0)) reject(error)
  }
  const started = (): Worker => {
    if (worker) return worker
    const made = new Worker(new URL('./stat-worker.ts', import.meta.url).href)
    made.unref()
    // Replies come in the order of the requests.
    made.addEventListener('message', ({ data }: MessageEvent<StatReply>) => {
      const first = waiting.shift()
      if (data.kind === 'states') first?.resolve(data.states)
      else first?.reject(Object.assign(new Error(data.message), { code: data.code }))
      if (waiting.length > 0) return
      idle = setTimeout(() => end(new Error('the thread for file states was idle')), IDLE_MS)
      idle.unref()
    })
    made.addEventListener('error', ({ message }) => end(new Error(`the thread for file states failed: ${message}`)))
    worker = made
    return made
  }
  return async (paths) => {
    clearTimeout(idle)
    const states = await new Promise<Float64Array>((resolve, reject) => {
      waiting.push({ resolve, reject })
      started().postMessage({ paths: paths.join('\0') } satisfies StatRequest)
    })
    return paths.map((_path, i) => stateAt(states, i * NUMBERS_PER_FILE))
  }
}

function stateAt(states: Float64Array, at: number): FileStat | undefined {
  const kind = FILE_KINDS[states[at] ?? 0]
  if (kind === undefined) return undefined
  return { kind, length: states[at + 1] ?? 0, modifiedMs: states[at + 2] ?? 0, inode: states[at + 3] ?? 0, changedMs: states[at + 4] ?? 0 }
}
