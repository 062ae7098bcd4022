// Worker thread for one job on the index database.

import { errorText } from '../../../protocol/errors.ts'
import { lowerThreadPriority, PRIORITY_OF_BACKGROUND } from '../../contract/thread-priority.ts'
import { doIndexJob } from './index-jobs.ts'
import type { IndexJob, IndexJobReply } from './index-jobs.ts'
import { isIndexDamaged } from './index-unusable.ts'

declare const self: Worker

lowerThreadPriority(PRIORITY_OF_BACKGROUND)

self.addEventListener('message', (event: MessageEvent<IndexJob>) => {
  doIndexJob(event.data, async () => {}).then(
    (result) => reply({ kind: 'done', result }),
    (error: unknown) => reply({ kind: 'failed', message: errorText(error), isDamage: isIndexDamaged(error) }),
  )
})

function reply(message: IndexJobReply): void {
  self.postMessage(message)
}
