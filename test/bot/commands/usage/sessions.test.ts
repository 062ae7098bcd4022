// What every line of a session with commands of usage shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import usage from './usage.txt'

testSessions(import.meta.dir, { usage })
