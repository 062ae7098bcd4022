// What every line of a session with commands of image shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import changes from './changes.txt'
import copies from './copies.txt'
import limits from './limits.txt'
import lists from './lists.txt'
import removals from './removals.txt'

testSessions(import.meta.dir, { changes, copies, limits, lists, removals })
