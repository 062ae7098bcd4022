// What every line of a session with commands of media-group shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import groups from './groups.txt'

testSessions(import.meta.dir, { groups })
