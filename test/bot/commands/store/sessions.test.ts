// What every line of a session with commands of store shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import changes from './changes.txt'
import lists from './lists.txt'
import removals from './removals.txt'

testSessions(import.meta.dir, { changes, lists, removals })
