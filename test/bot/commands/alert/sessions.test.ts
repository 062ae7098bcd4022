// What every line of a session with commands of alert shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import alerts from './alerts.txt'

testSessions(import.meta.dir, { alerts })
