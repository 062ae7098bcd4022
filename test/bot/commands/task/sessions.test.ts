// What every line of a session with commands of task shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import tasks from './tasks.txt'

testSessions(import.meta.dir, { tasks })
