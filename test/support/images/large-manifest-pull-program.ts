// Pulls an image with a very long manifest in a separate process, and prints the additional memory and the longest stretch of CPU time in which the
// event loop was blocked. Arguments: folder, URL of the source, id of the image.

import { monitorLoop } from '../agents/loop-stretches.ts'
import { residentBytesMax } from '../agents/resident-memory.ts'
import { openSyncTarget } from '../agents/sync-target.ts'
import { openTemporaryFolder } from '../machine/temporary-folder.ts'

const [folder = '', url = '', image = ''] = process.argv.slice(2)
await using target = await openSyncTarget(openTemporaryFolder(folder), {
  space: {
    state: async () => ({ totalBytes: 1e15, freeBytes: 1e15, reservedBytes: 0, promisedBytes: 0, availableBytes: 1e15 }),
    // There is space for the manifest but not for its slices, so the pull ends once the missing slices are counted.
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
