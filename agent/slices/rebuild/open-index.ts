// Opens the index database and recovers it from the packs. One that cannot be used is deleted and rebuilt before the store opens.

import { join } from 'node:path'
import type { Disk } from '../../contract/disk.ts'
import type { Clock, Log } from '../../contract/runtime.ts'
import { IndexDatabase } from '../index/index-database.ts'
import { isIndexDamaged } from '../index/index-unusable.ts'
import type { Quarantine } from './quarantine.ts'
import { openQuarantine } from './quarantine.ts'
import type { RecoverReport } from './recover.ts'
import { recoverIndex } from './recover.ts'
import { StoredRows } from '../index/stored-rows.ts'

export const INDEX_FILE = 'index.db'

export interface OpenIndexDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  /** The mount path. */
  readonly mount: string
  /** Node-local folder of the index database. */
  readonly state: string
  /** The `packs` folder. */
  readonly packs: string
  /** Length from which an unsealed pack is sealed instead of resumed. */
  readonly sealBytes: number
}

export interface OpenIndex {
  readonly index: IndexDatabase
  readonly quarantine: Quarantine
  readonly recovered: RecoverReport
}

/** Opens the index; with `rebuild`, deletes it first. Throws when the state folder cannot be written, or when a new index is damaged. */
export async function openIndex({ disk, clock, log, mount, state, packs, sealBytes }: OpenIndexDeps, rebuild: boolean): Promise<OpenIndex> {
  const path = join(state, INDEX_FILE)
  if (rebuild) StoredRows.removeAt(path)
  for (let isNew = rebuild; ; isNew = true) {
    let index: IndexDatabase | undefined
    try {
      index = IndexDatabase.open(path, () => clock.sleep(0))
      const quarantine = await openQuarantine({ disk, clock, log, folder: join(mount, 'quarantine'), index })
      const recovered = await recoverIndex({ disk, log, folder: packs, index, quarantine, sealBytes })
      if (recovered.packsRead > 0 || recovered.faults.length > 0) {
        const { packsRead, slicesFound, bytesFound, tornBytes, packsMissing, faults } = recovered
        log.info('the index database was brought in line with the packs', { packsRead, slicesFound, bytesFound, tornBytes, packsMissing, faults })
      }
      return { index, quarantine, recovered }
    } catch (error) {
      await index?.[Symbol.asyncDispose]()
      if (isNew || !isIndexDamaged(error)) throw error
      log.warn('the index database cannot be used and is rebuilt from the packs', { error })
      StoredRows.removeAt(path)
    }
  }
}
