// What every line of a session with commands of store shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import changes from './changes.txt'
import limits from './limits.txt'
import lists from './lists.txt'
import removals from './removals.txt'
import slackRemovals from './slack-removals.txt'

testSessions(import.meta.dir, { changes, limits, lists, removals, 'slack-removals': slackRemovals })
