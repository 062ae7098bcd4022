// What every line of a session with commands of grant shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import grants from './grants.txt'

testSessions(import.meta.dir, { grants })
