// Worker thread that has SQLite check an index database: with millions of rows that takes longer than the event loop may stand.

import { indexFaultAt } from './index-file.ts'

declare const self: Worker

self.addEventListener('message', (event: MessageEvent<string>) => {
  self.postMessage(indexFaultAt(event.data) ?? null)
})
