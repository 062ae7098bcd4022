// What every line of a session with help shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import help from './help.txt'

testSessions(import.meta.dir, { help })
