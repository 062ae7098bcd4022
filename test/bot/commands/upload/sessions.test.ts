// What every line of a session with commands of upload shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import uploads from './uploads.txt'

testSessions(import.meta.dir, { uploads })
