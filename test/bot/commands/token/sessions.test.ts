// What every line of a session with commands of token shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import tokens from './tokens.txt'

testSessions(import.meta.dir, { tokens })
