// serve: runs an agent. Opens the sockets, then the store, then the application, and closes them in reverse on SIGTERM, with
// everything that was acknowledged on disk.

import { untilAborted } from '../../protocol/until-aborted.ts'
import type { Config } from '../config.ts'
import type { Log } from '../contract/runtime.ts'
import { createApp } from '../http/app.ts'
import type { LeaseRecord } from '../system/lease.ts'
import { createNotifier } from '../system/notify.ts'
import type { Notifier } from '../system/notify.ts'
import { orRefuse } from './access-refused.ts'
import { refuseRootServe } from './as-owner.ts'
import { configurationWarnings } from './check-configuration.ts'
import { createRuntime, openFoundation } from './parts/foundation.ts'
import { openListeners } from './listeners.ts'
import type { Listeners } from './listeners.ts'
import { openServing } from './serving.ts'
import { openStoreParts } from './parts/store-parts.ts'
import type { Traffic } from './traffic.ts'

/** How long a drain waits for requests in progress, in milliseconds. */
const DRAIN_MS = 6000
/** A stop that takes longer than this, as on a hung mount path, ends by force; in milliseconds. */
const STOP_MS_MAX = 9500

/** Runs the agent. Returns 0 after SIGTERM or SIGINT; exits with 1 when another agent took over its store. Throws StartRefused. */
export async function serve(config: Config, version: string): Promise<number> {
  refuseRootServe(config)
  const runtime = createRuntime(config)
  const { clock, log } = runtime
  for (const warning of configurationWarnings(config)) log.warn(warning)
  const stop = new AbortController()
  const stopped = untilAborted(stop.signal)
  using limits = new DisposableStack()
  using _signals = onSignals((name) => {
    log.info('stopping', { signal: name })
    limits.use(clock.every(STOP_MS_MAX, () => endNow(log, 'the stop took too long; the process ends by force')))
    stop.abort(new Error(name))
  })
  using notifier = createNotifier({ clock, log, socket: config.process.notifySocket, watchdogMs: config.process.watchdogMs })

  await using listeners = await openListeners({ config, clock, log })
  try {
    await using foundation = await orRefuse(config, openFoundation(runtime, { onLost: (by) => endLost(log, by), signal: stop.signal }))
    notifier.startWatchdog(() => foundation.lease.isHeld())
    // No content passes before the application answers, so every byte is counted.
    let traffic: Traffic | undefined
    const counter: Traffic = { countReceived: (bytes) => traffic?.countReceived(bytes), countServed: (bytes) => traffic?.countServed(bytes) }
    await using parts = await orRefuse(config, openStoreParts(foundation, { traffic: counter, isServing: true }))
    using serving = await orRefuse(config, openServing({ foundation, parts, listeners, version }))
    traffic = serving.traffic

    const app = createApp(serving.app)
    listeners.serve((request, connection) => app.fetch(request, { connection }))
    const url = listeners.urls[0] ?? ''
    log.info('serving', { url, urls: listeners.urls, mount: config.store.mount, storeId: foundation.store.uuid, version })
    notifier.ready(`Serving store ${config.store.name} on ${url}`)
    using _reload = onReload(listeners, notifier, log)

    await stopped
    notifier.stopping('Draining: bodies end, offsets are committed')
    await Promise.all([listeners.drain(DRAIN_MS), serving.stop()])
  } catch (error) {
    if (!stop.signal.aborted) throw error
    // A signal during the start is a clean end too: nothing was acknowledged yet.
    if (error !== stop.signal.reason) log.warn('the agent could not close all parts', { error })
  }
  log.info('stopped')
  return 0
}

/** The store belongs to another agent from now on: not one more byte may be written. */
function endLost(log: Log, by: LeaseRecord | undefined): never {
  return endNow(log, 'another agent took over the store', { by: by?.hostname, pid: by?.pid })
}

/** Ends the process without closing anything: open files may no longer be written, or do not respond. */
function endNow(log: Log, reason: string, fields: Record<string, unknown> = {}): never {
  log.error(reason, fields)
  process.exit(1)
}

/** The first SIGTERM or SIGINT stops the agent, the second ends it at once. */
function onSignals(stop: (name: string) => void): Disposable {
  let isFirst = true
  const receive = (name: string): void => {
    if (!isFirst) process.exit(1)
    isFirst = false
    stop(name)
  }
  process.on('SIGTERM', receive)
  process.on('SIGINT', receive)
  return {
    [Symbol.dispose]() {
      process.off('SIGTERM', receive)
      process.off('SIGINT', receive)
    },
  }
}

/** SIGHUP reloads the certificate. One that cannot be used is logged, and the old one stays in use. */
function onReload(listeners: Listeners, notifier: Notifier, log: Log): Disposable {
  const reload = async (): Promise<void> => {
    notifier.reloading()
    try {
      await listeners.reloadTls()
      notifier.ready('Certificate and key were reloaded')
    } catch (error) {
      log.error('certificate and key could not be reloaded; the old ones stay in use', { error })
      notifier.ready('Certificate and key could not be reloaded: see the log')
    }
  }
  const receive = (): void => void reload()
  process.on('SIGHUP', receive)
  return { [Symbol.dispose]: () => void process.off('SIGHUP', receive) }
}
