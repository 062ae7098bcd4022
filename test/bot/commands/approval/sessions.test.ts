// What every line of a session with commands of approval shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import approvals from './approvals.txt'

testSessions(import.meta.dir, { approvals })
