// What every line of a session with commands of slack shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import slack from './slack.txt'

testSessions(import.meta.dir, { slack })
