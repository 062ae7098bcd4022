// An ingest worker that also says at which priority its own thread runs. It asks the kernel for the calling thread
// (setpriority(2)), so threads that the runtime starts on its own do not count.

import { getPriority } from 'node:os'
// oxlint-disable-next-line import/no-unassigned-import -- the worker listens by itself
import '../../../agent/slices/write/ingest-worker.ts'

declare const self: Worker

self.addEventListener('message', () => self.postMessage({ kind: 'priority', nice: getPriority(0) }))
