// What every line of a session with commands of export shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import exports from './exports.txt'

testSessions(import.meta.dir, { exports })
