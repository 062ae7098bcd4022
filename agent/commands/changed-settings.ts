// Settings that operators changed while the agent ran. They override the configuration, so whoever edits the file must know of them.

import { join } from 'node:path'
import { errorText } from '../../protocol/errors.ts'
import { formatSyncHours } from '../../protocol/sync/sync-limits.ts'
import { formatDuration, formatSize } from '../../protocol/units.ts'
import type { Config } from '../config.ts'
import { keptSchedulesSchema, SCHEDULES_KEY } from '../schedule/schedules.ts'
import { openStoreSettings, SETTINGS_KEY } from '../system/settings/store-settings.ts'
import { readKeptValues } from '../system/settings/read-kept.ts'
import { configuredSettings, DATABASE_FILE } from './parts/agent-records.ts'

/** Returns a clause for each setting whose value now is not that of the configuration; a clause that says why they are not known. Changes nothing. */
export async function changedSettings(config: Config): Promise<string[]> {
  try {
    const kept = await readKeptValues(join(config.store.state, DATABASE_FILE), [SETTINGS_KEY, SCHEDULES_KEY])
    return kept ? [...changedOfStore(config, kept.read), ...changedSchedules(config, kept.read(SCHEDULES_KEY))] : []
  } catch (error) {
    return [`what was changed is not known, because the state folder cannot be read (${errorText(error)}); run this as the user of the agent`]
  }
}

function changedOfStore(config: Config, read: (key: string) => unknown): string[] {
  const { store, images, transfer } = config
  const settings = openStoreSettings({ kept: { read, write: () => {} }, configured: configuredSettings(config) })
  const now = settings.current()
  const found: string[] = []
  const compare = (key: string, value: string, configured: string): void => {
    if (value !== configured) found.push(`${key} is ${value}, not ${configured}`)
  }
  compare('store.name', JSON.stringify(now.name), JSON.stringify(store.name))
  compare('store.description', JSON.stringify(now.description), JSON.stringify(store.description))
  compare('store.reserved', formatSize(settings.reservedBytes()), formatSize(store.reservedBytes))
  compare('images.enabled', String(now.imagesEnabled), String(images.enabled))
  compare('images.kinds', listed(settings.acceptedKinds()), listed(images.kinds))
  compare('images.deletion', now.retention.deletion, images.deletion)
  compare('images.retention', formatDuration(now.retention.seconds * 1000), formatDuration(images.retentionMs))
  compare('transfer.upload-concurrency', String(settings.uploadConcurrency()), String(transfer.uploadConcurrency))
  const limits = settings.syncLimits()
  compare('sync.bytes-per-second', rateText(limits.syncBytesPerSecond), rateText(config.sync.bytesPerSecond))
  compare('sync.hours', listed(limits.syncHours.map(formatSyncHours)), listed(config.sync.hours.map(formatSyncHours)))
  if (!now.enabled) found.push('the store is disabled')
  return found
}

function changedSchedules({ schedules }: Config, kept: unknown): string[] {
  const configured: Readonly<Record<string, string>> = { cleanup: schedules.cleanup, scrub: schedules.scrub, expire: schedules.expire }
  return Object.entries(keptSchedulesSchema.parse(kept ?? {})).flatMap(([name, { cron, paused }]) => {
    const clauses: string[] = []
    if (cron !== null && cron !== configured[name]) clauses.push(`schedules.${name} is "${cron}", not "${configured[name] ?? ''}"`)
    if (paused) clauses.push(`the schedule ${name} is paused`)
    return clauses
  })
}

function listed(words: readonly string[]): string {
  return words.length === 0 ? 'all' : words.join(', ')
}

function rateText(bytesPerSecond: number): string {
  return bytesPerSecond === 0 ? 'unlimited' : `${formatSize(bytesPerSecond)}/s`
}
