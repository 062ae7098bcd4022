// The configuration as the evidence shows it. What is shown is listed member by member, so that a new key stays out until somebody decides that it is
// no secret; of secrets it is shown whether they are set.

import type { Config } from '../config.ts'

/** Returns the configuration without secrets. Sizes are in bytes, durations in milliseconds. */
export function shownConfig(config: Config): Record<string, unknown> {
  const { store, network, transfer, images, uploads, sync, origins, imports, schedules, tls, process } = config
  const { name, description, mount, zone, scope, reservedBytes, state } = store
  return {
    store: { name, description, mount, zone, scope, reservedBytes, state },
    network: { listen: `${network.listen.host}:${network.listen.port}`, data: network.data, sync: network.sync, plainHttp: network.plainHttp },
    transfer: { uploadConcurrency: transfer.uploadConcurrency, downloadConcurrency: transfer.downloadConcurrency },
    images: {
      retrieveExisting: images.retrieveExisting,
      deletion: images.deletion,
      retentionMs: images.retentionMs,
      maxPerOwner: images.maxPerOwner,
      maxBytesPerOwner: images.maxBytesPerOwner,
      pricePerGbMonth: images.pricePerGbMonth,
      enabled: images.enabled,
      installationRole: images.installationRole,
      kinds: images.kinds,
    },
    uploads: { expiryMs: uploads.expiryMs, lengthMax: uploads.lengthMax, origins: uploads.origins },
    sync: { peers: sync.peers, bytesPerSecond: sync.bytesPerSecond, hours: sync.hours },
    origins: origins.map((origin) => ({ name: origin.name, url: origin.url, hasToken: isSet(origin.token) })),
    imports: { roots: imports.roots.map(({ path }) => path), allow: imports.allow, inboxSettleMs: imports.inboxSettleMs ?? null },
    schedules: { cleanup: schedules.cleanup, scrub: schedules.scrub, expire: schedules.expire, timezone: schedules.timezone },
    tls: { cert: tls?.cert ?? '', hasKey: isSet(tls?.key) },
    process: {
      hasAdminToken: isSet(process.adminToken),
      logLevel: process.logLevel,
      watchdogMs: process.watchdogMs ?? null,
      hasNotifySocket: isSet(process.notifySocket),
    },
  }
}

/** Returns the texts of a configuration that nobody may read. */
export function secretsOf({ origins, process }: Pick<Config, 'origins' | 'process'>): string[] {
  return [process.adminToken ?? '', ...origins.map(({ token }) => token)].filter((secret) => secret !== '')
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== ''
}
