// What every line of a session with commands of link shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import links from './links.txt'

testSessions(import.meta.dir, { links })
