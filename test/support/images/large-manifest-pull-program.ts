// A program of its own that pulls an image whose manifest has very many entries, and prints what that cost: memory beyond what the store takes
// before, and the longest stretch of CPU time in which the event loop ran nothing else. Arguments: folder, address of the source.

import { monitorLoop } from '../agents/loop-stretches.ts'
import { residentBytesMax } from '../agents/resident-memory.ts'
import { openSyncTarget } from '../agents/sync-target.ts'
import { openTemporaryFolder } from '../machine/temporary-folder.ts'

const [folder = '', url = '', image = ''] = process.argv.slice(2)
await using target = await openSyncTarget(openTemporaryFolder(folder), {
  space: {
    state: async () => ({ totalBytes: 1e15, freeBytes: 1e15, reservedBytes: 0, promisedBytes: 0, availableBytes: 1e15 }),
    // Room for the manifest, and not for what it names: the pull ends when everything is counted.
    promise: async (_key, bytes) => bytes < 16e9,
    promiseShare: async () => true,
    isBelowReserve: async () => false,
  },
})
Bun.gc(true)
const before = process.memoryUsage.rss()
const loop = monitorLoop()
const task = await target.pull(url, [image])
const stretches = loop.stop()
const peak = residentBytesMax(process.pid)
console.log(JSON.stringify({ state: task.state, type: task.error?.type, detail: task.error?.detail, memory: peak - before, ...stretches }))
