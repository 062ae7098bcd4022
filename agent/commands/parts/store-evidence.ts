// The parts of the evidence of a serving agent.

import { join } from 'node:path'
import { jsonDocument, jsonLines } from '../../../protocol/evidence.ts'
import type { EvidencePart } from '../../../protocol/evidence.ts'
import type { Task } from '../../../protocol/task.ts'
import type { Evidence } from '../../contract/evidence.ts'
import type { ShownTasks } from '../../contract/work.ts'
import { createEvidence } from '../../health/evidence/evidence.ts'
import type { Background, ServingDeps } from '../background.ts'
import { STATE_FILES } from './foundation.ts'
import { fileSystemFacts, folderFacts, machineFacts } from '../../system/machine-facts.ts'
import { secretsOf, shownConfig } from '../shown-config.ts'

const KIB = 1024
/** Events and tasks read in one page. */
const PAGE_LENGTH = 200

export interface StoreEvidenceDeps {
  readonly background: Background
  readonly shownTasks: ShownTasks
  /** The answer of GET /v1/store for an operator. */
  readonly describe: () => Promise<unknown>
}

/** Creates the evidence of the store of this agent. */
export function openEvidence(deps: ServingDeps, more: StoreEvidenceDeps): Evidence {
  const { clock, config, log } = deps.foundation
  return createEvidence({
    clock,
    log: log.child({ part: 'evidence' }),
    emit: deps.parts.events.emit,
    store: config.store.name,
    parts: [...stateParts(deps, more), ...machineParts(deps)],
    secrets: secretsOf(config),
  })
}

/** What the agent knows about its store. */
function stateParts({ foundation, parts }: ServingDeps, { background, shownTasks, describe }: StoreEvidenceDeps): EvidencePart[] {
  const { health, metrics, schedules } = background
  const { events } = parts
  const part = (name: string, about: string, bytesMax: number, read: EvidencePart['read']): EvidencePart => ({ name, about, bytesMax, read })
  return [
    part('health.json', 'state and every check, with impact and next step', 64 * KIB, async () => jsonDocument(await health.current())),
    part('store.json', 'the store: space, images, slices, retention, syncs', 64 * KIB, async () => jsonDocument(await describe())),
    part('log.jsonl', 'log of this process; older lines are in journalctl -u slipway-agent@NAME', 1024 * KIB, () => foundation.recentLog.newestFirst()),
    part('events.jsonl', 'what happened in the store', 1024 * KIB, () => jsonLines(pages((cursor) => events.list({ limit: PAGE_LENGTH, cursor })))),
    part('tasks.jsonl', 'tasks, and uploads in progress', 512 * KIB, () =>
      jsonLines(
        mapped(
          pages((cursor) => shownTasks.list({ limit: PAGE_LENGTH, cursor })),
          shownTask,
        ),
      ),
    ),
    part('schedules.json', 'schedules and their last runs', 32 * KIB, () => jsonDocument(schedules.facts())),
    part('metrics.txt', 'metrics in the text format of Prometheus', 512 * KIB, async () => (await metrics.metrics.render()).split('\n')),
    part('config.json', 'configuration; of secrets only whether they are set', 64 * KIB, () => jsonDocument(shownConfig(foundation.config))),
  ]
}

/** What the machine says about the store. */
function machineParts({ foundation, parts, version }: ServingDeps): EvidencePart[] {
  const { clock, config, disk } = foundation
  const { mount, state } = config.store
  const startMs = clock.nowMs()
  const isOwn = (name: string): boolean => STATE_FILES.some((prefix) => name.startsWith(prefix))
  const folder = (name: string, about: string, read: () => Promise<unknown>): EvidencePart => ({
    ...{ name, about, bytesMax: 256 * KIB },
    read: async () => jsonDocument(await read()),
  })
  return [
    folder('versions.json', 'versions of agent, Bun and kernel, and the load of the node', () =>
      Promise.resolve(machineFacts(version, startMs, clock.nowMs())),
    ),
    folder('mount.json', 'file system of the mount path: type, options, space', () => fileSystemFacts(mount)),
    folder('state.json', 'file system of the state folder: type, options, space', () => fileSystemFacts(state)),
    folder('index.json', 'index database: slices and packs', () => Promise.resolve(parts.slices.stats())),
    folder('state-files.json', 'lengths of databases and journals in the state folder', () => folderFacts(disk, state, isOwn)),
    folder('uploads.json', 'lengths of the journals of uploads', () => folderFacts(disk, join(mount, 'uploads'))),
    folder('quarantine.json', 'what is in quarantine', () => folderFacts(disk, join(mount, 'quarantine'))),
  ]
}

/** A task without its order and result, which may name other machines. */
function shownTask({ id, kind, state, progress, subject, createdBy, createdAt, endedAt, pausedAt, continuesAt, detail, error }: Task): unknown {
  return { id, kind, state, subject, createdBy, createdAt, endedAt, pausedAt, continuesAt, progress, detail, error }
}

function* pages<Item>(list: (cursor: string | undefined) => { readonly items: readonly Item[]; readonly next: string | null }): Generator<Item> {
  let cursor: string | undefined
  do {
    const page = list(cursor)
    yield* page.items
    cursor = page.next ?? undefined
  } while (cursor !== undefined)
}

function* mapped<From, To>(items: Iterable<From>, map: (item: From) => To): Generator<To> {
  for (const item of items) yield map(item)
}
