// What every line of a session with commands of role shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import roles from './roles.txt'

testSessions(import.meta.dir, { roles })
