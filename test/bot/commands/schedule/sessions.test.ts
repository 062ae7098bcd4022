// What every line of a session with commands of schedule shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import schedules from './schedules.txt'

testSessions(import.meta.dir, { schedules })
