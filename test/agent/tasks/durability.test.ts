// What a loss of power must not undo is written with `synchronous` FULL, with which SQLite syncs its log at each commit. SQLite writes by
// itself, so these tests read the level at each write by a trigger; test/power cuts the power of a whole agent.

import { describe, expect, test } from 'bun:test'
import { openAccess } from '../../../agent/access/access.ts'
import { openAgentDatabase } from '../../../agent/tasks/database.ts'
import type { AgentDatabase } from '../../../agent/tasks/database.ts'
import { createKeptValues } from '../../../agent/tasks/kept.ts'
import { TaskQueue } from '../../../agent/tasks/tasks.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { openTestSealer } from '../../support/memory/test-sealer.ts'

/** Levels of `PRAGMA synchronous`. */
const NORMAL = 1
const FULL = 2
const ADMIN = { name: 'admin', role: 'admin' } as const

interface Write {
  /** Key of a kept value, or state of a task. */
  readonly what: string
  readonly level: number
}

interface Watched extends AsyncDisposable {
  readonly database: AgentDatabase
  /** Returns the writes since the last call. */
  writes(): Write[]
}

/** A database that records the level of `synchronous` at each write to its tables. */
async function openWatched(): Promise<Watched> {
  const folder = await createTemporaryFolder()
  const database = openAgentDatabase(folder.file('agent.db'))
  const { sql } = database
  sql.run('CREATE TEMP TABLE writes (what TEXT, level INTEGER)')
  for (const [table, column] of [
    ['kept', 'key'],
    ['tasks', 'state'],
  ] as const)
    for (const change of ['INSERT', 'UPDATE'] as const)
      sql.run(`CREATE TEMP TRIGGER ${table}_${change} AFTER ${change} ON main.${table}
        BEGIN INSERT INTO writes SELECT NEW.${column}, synchronous FROM pragma_synchronous; END`)
  return {
    database,
    writes() {
      const writes = sql.query<Write, []>('SELECT what, level FROM writes ORDER BY rowid').all()
      sql.run('DELETE FROM writes')
      return writes
    },
    async [Symbol.asyncDispose]() {
      database[Symbol.dispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

const levelOf = ({ sql }: AgentDatabase): number | undefined => sql.query<{ synchronous: number }, []>('PRAGMA synchronous').get()?.synchronous

describe('the database of the agent', () => {
  test('syncs its log at the commit of a durable change, and only then', async () => {
    await using watched = await openWatched()
    const { database } = watched
    expect(database.sql.query('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' })
    expect(levelOf(database)).toBe(NORMAL)
    expect(database.durably(() => levelOf(database))).toBe(FULL)
    expect(levelOf(database)).toBe(NORMAL)
    const failing = (): never =>
      database.durably(() => {
        throw new Error('the change fails')
      })
    expect(failing).toThrow('the change fails')
    expect(levelOf(database)).toBe(NORMAL)
  })
})

describe('durable are', () => {
  test('kept values, when they are added and when they are replaced', async () => {
    await using watched = await openWatched()
    const kept = createKeptValues(watched.database)
    kept.write('settings', 1)
    kept.write('settings', 2)
    expect(watched.writes()).toEqual([
      { what: 'settings', level: FULL },
      { what: 'settings', level: FULL },
    ])
  })

  test('tokens that are created and deleted, and uploads that links are claimed for', async () => {
    await using watched = await openWatched()
    const { tokens, links } = await openAccess({
      kept: createKeptValues(watched.database),
      clock: createManualClock(),
      emit: () => {},
      configuredSecret: undefined,
      writeFirstSecret: async () => {},
    })
    expect(new Set(watched.writes().map(({ level }) => level))).toEqual(new Set([FULL]))
    const { id } = await tokens.create({ name: 'ann', role: 'uploader' }, ADMIN)
    expect(watched.writes()).toEqual([{ what: 'tokens', level: FULL }])
    tokens.remove(id, ADMIN)
    expect(watched.writes()).toEqual([{ what: 'tokens', level: FULL }])
    const once = [{ what: 'upload-links', level: FULL }]
    const maker = await tokens.create({ name: 'ben', role: 'uploader' }, ADMIN)
    const actor = { name: 'ben', role: 'uploader', tokenId: maker.id } as const
    watched.writes()
    const made = await links.create({ kind: 'upload', ttlSeconds: 60 }, actor)
    expect(watched.writes()).toEqual(once)
    const link = { id: made.id, makerTokenId: maker.id, maker: { role: 'uploader' }, kind: 'upload', endMs: 1e15, maxLength: 1000 } as const
    expect(await links.claim(link, { id: 'upl_1', imageId: 'img_1' })).toBe(true)
    expect(watched.writes()).toEqual(once)
    links.release(link.id, 'upl_1')
    expect(watched.writes()).toEqual(once)
    expect(await links.claim(link, { id: 'upl_2', imageId: 'img_2' })).toBe(true)
    expect(watched.writes()).toEqual(once)
    links.settle(link.id, 'upl_2', 'completed')
    expect(watched.writes()).toEqual(once)
    const other = await links.create({ kind: 'upload', ttlSeconds: 60 }, actor)
    watched.writes()
    links.revoke(other.id, actor)
    expect(watched.writes()).toEqual(once)
  })

  test('tasks that are accepted, end, and are retried', async () => {
    await using watched = await openWatched()
    const { database } = watched
    const sealer = await openTestSealer()
    await using tasks = TaskQueue.open({ database, clock: createManualClock(), log: createMemoryLog(), emit: () => {}, crashPoint: () => {}, sealer })
    let failure: Error | undefined = new Error('the work fails')
    tasks.register('sync', async () => {
      if (failure) throw failure
      return {}
    })
    tasks.resume()
    const { id } = await tasks.start({ kind: 'sync', subject: 'img_1', createdBy: 'ann', params: {} })
    await tasks.ended(id)
    const levels = (state: string, writes: readonly Write[]): number[] => writes.filter(({ what }) => what === state).map(({ level }) => level)
    const first = watched.writes()
    expect([levels('queued', first), levels('failed', first)]).toEqual([[FULL], [FULL]])
    failure = undefined
    tasks.retry(id, 'ann')
    await tasks.ended(id)
    const second = watched.writes()
    expect([levels('queued', second), levels('succeeded', second)]).toEqual([[FULL], [FULL]])
  })
})
