// What every line of a session with commands of web shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import web from './web.txt'

testSessions(import.meta.dir, { web })
