// Imports go in one direction. The rule itself is tested with planted violations.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { layerViolations } from './layers.ts'
import { readSourceFiles } from './source-tree.ts'

// Parsing the whole tree takes seconds of the processor, and more on a busy machine.
setDefaultTimeout(120_000)

describe('layers', () => {
  test('every import of the tree goes to its own folder or to a lower rank', () => {
    expect(layerViolations(readSourceFiles())).toEqual([])
  })

  test.each([
    ['a sibling of the same rank', 'agent/uploads/a.ts', `import { x } from '../images/catalogue.ts'`],
    ['a type of a sibling', 'agent/uploads/a.ts', `import type { X } from '../system/disk.ts'`],
    ['a type by import()', 'agent/uploads/a.ts', `export type X = import('../system/disk.ts').Disk`],
    ['a module by import()', 'agent/slices/a.ts', `export const x = await import('../sync/pull.ts')`],
    ['a re-export of a sibling', 'agent/slices/a.ts', `export { x } from '../sync/pull.ts'`],
    ['the protocol towards the agent', 'protocol/a.ts', `import type { Disk } from '../agent/contract/disk.ts'`],
    ['a contract towards a capability', 'agent/contract/a.ts', `import type { Disk } from '../system/disk.ts'`],
    ['a capability towards the edge', 'agent/images/a.ts', `import { route } from '../http/route.ts'`],
    ['a capability towards main', 'agent/images/a.ts', `import type { Config } from '../config.ts'`],
    ['one edge towards the other', 'agent/http/a.ts', `import { plan } from '../schedule/plan.ts'`],
    ['the bot towards the agent', 'bot/a.ts', `import type { Disk } from '../agent/contract/disk.ts'`],
    ['the agent towards the bot', 'agent/main.ts', `import { x } from '../bot/main.ts'`],
    ['the packs towards the index', 'agent/slices/packs/a.ts', `import type { IndexDatabase } from '../index/index-database.ts'`],
    ['the index towards the writer', 'agent/slices/index/a.ts', `import { x } from '../write/pins.ts'`],
    ['gc towards a room on the same floor', 'agent/slices/gc/a.ts', `import { x } from '../scrub/scrub.ts'`],
    ['a room towards the file above it', 'agent/slices/read/a.ts', `import { x } from '../store.ts'`],
    ['a room that is in no plan', 'agent/slices/read/a.ts', `import { x } from '../attic/b.ts'`],
    ['the body of an upload towards its requests', 'agent/uploads/body/a.ts', `import { x } from '../requests.ts'`],
    ['alerts of the bot towards its commands', 'bot/alerts/a.ts', `import { x } from '../commands/command.ts'`],
    ['the console towards Slack', 'bot/console/a.ts', `import { x } from '../slack/message.ts'`],
    ['the fleet towards what opens the bot', 'bot/fleet/a.ts', `import type { OpenBot } from '../open.ts'`],
    ['tables towards the part they belong to', 'bot/fleet/zones/tables.ts', `import { x } from './zones.ts'`],
    ['a room of the bot that is in no plan', 'bot/attic/a.ts', `import { x } from '../views/blocks.ts'`],
    ['a folder that is in no plan', 'agent/stuff/a.ts', ''],
  ])('finds %s', (_what, path, text) => {
    expect(layerViolations([{ path, text }])).toHaveLength(1)
  })

  test.each([
    ['agent/uploads/a.ts', `import type { Disk } from '../contract/disk.ts'; import { b } from './b.ts'; import { c } from '../../protocol/ids.ts'`],
    ['agent/http/routes/a.ts', `import { route } from '../route.ts'; import { x } from '../../images/catalogue.ts'`],
    ['agent/slices/gc/a.ts', `import { x } from './plan.ts'; import { y } from '../rebuild/quarantine.ts'; import { z } from '../packs/record.ts'`],
    ['agent/slices/store.ts', `import { x } from './gc/gc.ts'; import { y } from './packs/record.ts'`],
    ['agent/main.ts', `import { x } from './http/app.ts'; import { y } from './schedule/jobs.ts'; import { z } from './config.ts'`],
    ['bot/system/database.ts', `import { x } from '../alerts/tables.ts'; import { y } from '../fleet/zones/tables.ts'`],
    ['bot/slack/a.ts', `import { x } from '../commands/command.ts'; import type { OpenBot } from '../open.ts'; import { z } from '../config.ts'`],
    ['bot/a.ts', `import { x } from '../protocol/client.ts'; import { y } from './views/blocks.ts'`],
  ])('lets %s be', (path, text) => {
    expect(layerViolations([{ path, text }])).toEqual([])
  })
})
