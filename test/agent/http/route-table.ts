// The real table of routes with a real store in a temporary folder, so that a request that passes the access check has its effect.

import type { Hono } from 'hono'
import { createRuntime, openFoundation } from '../../../agent/commands/parts/foundation.ts'
import { openServing } from '../../../agent/commands/serving.ts'
import { openStoreParts } from '../../../agent/commands/parts/store-parts.ts'
import type { StoreParts } from '../../../agent/commands/parts/store-parts.ts'
import { createApp } from '../../../agent/http/app.ts'
import type { AppEnvironment } from '../../../agent/http/environment.ts'
import type { Route } from '../../../agent/http/route.ts'
import { agentConfig } from '../../support/agents/agent-config.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import type { MemoryLog } from '../../support/memory/memory-log.ts'

export interface RouteTable extends AsyncDisposable {
  /** The mount path of the store. */
  readonly mount: string
  readonly parts: StoreParts
  readonly routes: readonly Route[]
  readonly app: Hono<AppEnvironment>
  readonly log: MemoryLog
}

/** Opens a store and the application over it, without a server. `config` is added to its configuration, as TOML. */
export async function openRouteTable(config = ''): Promise<RouteTable> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const log = createMemoryLog()
  const runtime = { ...createRuntime(agentConfig(folder.path, config)), log }
  const foundation = stack.use(await openFoundation(runtime, { onLost: () => {} }))
  const parts = stack.use(await openStoreParts(foundation))
  const serving = stack.use(
    await openServing({ foundation, parts, listeners: { certificateEndMs: () => null, urls: ['http://127.0.0.1:8420'] }, version: '0.0.0' }),
  )
  stack.defer(() => serving.stop())
  const opened = stack.move()
  return {
    mount: foundation.config.store.mount,
    parts,
    routes: serving.app.routes,
    app: createApp(serving.app),
    log,
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  }
}
