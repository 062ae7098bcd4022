// What every line of a session with commands of policy shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import policies from './policies.txt'

testSessions(import.meta.dir, { policies })
