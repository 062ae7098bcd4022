// What every line of sessions over all commands shows and sends: without stores, with one, with a role in one store, and with lines that are not understood.

import { testSessions } from './test-sessions.ts'
import noStore from './no-store.txt'
import oneStore from './one-store.txt'
import storeRoles from './store-roles.txt'
import unclear from './unclear.txt'

testSessions(import.meta.dir, { 'no-store': noStore, 'one-store': oneStore, 'store-roles': storeRoles, unclear })
