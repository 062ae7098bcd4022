// What every line of a session with commands of event shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import events from './events.txt'

testSessions(import.meta.dir, { events })
