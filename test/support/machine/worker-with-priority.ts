// An ingest worker that also reports the priority of its own thread. It queries the calling thread (setpriority(2)), so other threads of the runtime
// do not count.

import { getPriority } from 'node:os'
// oxlint-disable-next-line import/no-unassigned-import -- the worker listens by itself
import '../../../agent/slices/write/ingest-worker.ts'

declare const self: Worker

self.addEventListener('message', () => self.postMessage({ kind: 'priority', nice: getPriority(0) }))
