// What every line of a session with commands of audit shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import audit from './audit.txt'

testSessions(import.meta.dir, { audit })
