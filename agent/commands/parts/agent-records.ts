// What the state folder keeps about this agent: its database with events, settings, tokens and small values, and the key that seals secrets.

import { join } from 'node:path'
import { openAccess } from '../../access/access.ts'
import type { Access } from '../../access/access.ts'
import { openSealer } from '../../access/sealer.ts'
import { openStoreKey } from '../../access/store-key.ts'
import type { StoreKey } from '../../access/store-key.ts'
import { readSecretFile, writeSecretFile } from '../../access/secret-file.ts'
import type { Config } from '../../config.ts'
import type { Sealer } from '../../contract/access.ts'
import type { KeptValues, StoreSettings } from '../../contract/store.ts'
import type { EventLog } from '../../contract/work.ts'
import { openStoreSettings } from '../../system/settings/store-settings.ts'
import type { StoreSettingsDeps } from '../../system/settings/store-settings.ts'
import { sealClearSecrets } from '../../tasks/clear-secrets.ts'
import { AgentDatabaseUnusable, openAgentDatabase } from '../../tasks/database.ts'
import type { AgentDatabase } from '../../tasks/database.ts'
import { createEventLog } from '../../tasks/events.ts'
import { createKeptValues } from '../../tasks/kept.ts'
import type { Foundation } from './foundation.ts'
import { StartRefused } from '../start-refused.ts'

/** In the state folder. */
export const DATABASE_FILE = 'agent.db'
/** The first admin token, for the operator of this node (mode 0600). */
const ADMIN_TOKEN_FILE = 'admin-token'
/** The key that seals secrets in the agent's database (mode 0600). */
const SEALING_KEY_FILE = 'sealing-key'
/** The key with which this store proves to others that a grant is for it (mode 0600). */
const STORE_KEY_FILE = 'store-key'

/** Disposing closes the database. */
export interface AgentRecords extends Disposable {
  readonly database: AgentDatabase
  readonly events: EventLog
  readonly kept: KeptValues
  readonly settings: StoreSettings
  readonly access: Access
  readonly sealer: Sealer
  readonly storeKey: StoreKey
}

/** Opens the records, and creates those that are missing. Throws StartRefused when the database cannot be used. */
export async function openAgentRecords({ config, clock, log, crashPoint }: Pick<Foundation, 'config' | 'clock' | 'log' | 'crashPoint'>): Promise<AgentRecords> {
  const { state } = config.store
  using stack = new DisposableStack()
  const database = stack.use(openDatabase(join(state, DATABASE_FILE)))
  const events = createEventLog({ database, clock, log: log.child({ part: 'events' }) })
  const kept = createKeptValues(database)
  const access = await openAccess({
    kept,
    clock,
    emit: events.emit,
    crashPoint,
    configuredSecret: config.process.adminToken,
    writeFirstSecret: (secret) => writeSecretFile(join(state, ADMIN_TOKEN_FILE), secret),
  })
  const sealer = await openSealer({
    readKey: () => readSecretFile(join(state, SEALING_KEY_FILE)),
    writeKey: (key) => writeSecretFile(join(state, SEALING_KEY_FILE), key),
    onUnusable: () => log.warn('the sealing key in the state folder cannot be used and is replaced: syncs that are waiting must be started again'),
  })
  const storeKey = await openStoreKey({
    readKey: () => readSecretFile(join(state, STORE_KEY_FILE)),
    writeKey: (key) => writeSecretFile(join(state, STORE_KEY_FILE), key),
    onUnusable: () => log.warn('the key of the store in the state folder cannot be used and is replaced: other stores must make new grants for it'),
  })
  const sealedCount = await sealClearSecrets(database, sealer)
  if (sealedCount > 0) log.info('tokens that tasks of an earlier agent kept in clear were sealed or removed', { count: sealedCount })
  const settings = openStoreSettings({ kept, configured: configuredSettings(config) })
  const owned = stack.move()
  return { database, events, kept, settings, access, sealer, storeKey, [Symbol.dispose]: () => owned.dispose() }
}

/** Returns the settings of the configuration, which apply until an operator changes them. */
export function configuredSettings(config: Config): StoreSettingsDeps['configured'] {
  return {
    ...config.store,
    ...config.images,
    imagesEnabled: config.images.enabled,
    uploadConcurrency: config.transfer.uploadConcurrency,
    syncBytesPerSecond: config.sync.bytesPerSecond,
    syncHours: config.sync.hours,
  }
}

function openDatabase(path: string): AgentDatabase {
  try {
    return openAgentDatabase(path)
  } catch (error) {
    if (error instanceof AgentDatabaseUnusable) throw new StartRefused(error.message, { cause: error })
    throw error
  }
}
