// What every line of a session with commands of host-key shows and sends.

import { testSessions } from '../sessions/test-sessions.ts'
import hostKeys from './host-keys.txt'

testSessions(import.meta.dir, { 'host-keys': hostKeys })
