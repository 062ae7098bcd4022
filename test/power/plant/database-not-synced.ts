// Planted defect: what must last in the agent's database (tokens, tasks, settings) is committed without an fsync.

import { plantSource } from './plant-disk.ts'

plantSource(import.meta.path, /\/agent\/tasks\/database\.ts$/, "sql.run('PRAGMA synchronous = FULL')", '')
