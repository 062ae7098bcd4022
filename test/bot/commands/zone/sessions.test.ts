// What every line of a session with commands of zone shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import zones from './zones.txt'

testSessions(import.meta.dir, { zones })
