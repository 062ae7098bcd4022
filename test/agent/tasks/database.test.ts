// The file of the agent's database, and its kept values.

import { Database } from 'bun:sqlite'
import { describe, expect, test } from 'bun:test'
import { stat } from 'node:fs/promises'
import { AgentDatabaseUnusable, openAgentDatabase } from '../../../agent/tasks/database.ts'
import { createKeptValues } from '../../../agent/tasks/kept.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

describe('openAgentDatabase', () => {
  test('makes all its files unreadable to other users', async () => {
    await using folder = await createTemporaryFolder()
    using database = openAgentDatabase(folder.file('agent.db'))
    createKeptValues(database).write('a', 1)
    for (const suffix of ['', '-wal', '-shm']) expect(((await stat(folder.file(`agent.db${suffix}`))).mode & 0o777).toString(8)).toBe('600')
  })

  test('refuses a database of a newer version', async () => {
    await using folder = await createTemporaryFolder()
    const newer = new Database(folder.file('agent.db'))
    newer.run('PRAGMA user_version = 99')
    newer.close()
    expect(() => openAgentDatabase(folder.file('agent.db'))).toThrow(AgentDatabaseUnusable)
    expect(() => openAgentDatabase(folder.file('agent.db'))).toThrow('was written by a newer agent (schema 99')
  })

  test('refuses a damaged database without changing it, and names what is lost without it', async () => {
    await using folder = await createTemporaryFolder()
    const noise = 'not a database at all '.repeat(1000)
    await Bun.write(folder.file('agent.db'), noise)
    expect(() => openAgentDatabase(folder.file('agent.db'))).toThrow('is damaged')
    expect(await Bun.file(folder.file('agent.db')).text()).toBe(noise)
  })

  test('refuses a folder that does not exist', async () => {
    await using folder = await createTemporaryFolder()
    expect(() => openAgentDatabase(folder.file('none', 'agent.db'))).toThrow('may write to it')
  })
})

describe('kept values', () => {
  test('survive a restart and are replaced as a whole', async () => {
    await using folder = await createTemporaryFolder()
    {
      using database = openAgentDatabase(folder.file('agent.db'))
      const kept = createKeptValues(database)
      expect(kept.read('settings')).toBeUndefined()
      kept.write('settings', { a: 1 })
      kept.write('settings', { b: [2] })
      expect(kept.read('settings')).toEqual({ b: [2] })
    }
    using database = openAgentDatabase(folder.file('agent.db'))
    expect(createKeptValues(database).read('settings')).toEqual({ b: [2] })
  })
})
