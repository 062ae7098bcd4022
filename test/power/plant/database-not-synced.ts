// Planted defect: durable changes of the agent's database (tokens, tasks, settings) are committed without an fsync.

import { plantSource } from './plant-disk.ts'

plantSource(import.meta.path, /\/agent\/tasks\/database\.ts$/, "sql.run('PRAGMA synchronous = FULL')", '')
