// Tokens of agents in the bot's database: encrypted with a key outside of it, bound to their store and address, and replaced together with their key.

import { Database } from 'bun:sqlite'
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { formatKeys, makeKey, parseKeys, seal, unseal } from '../../../bot/system/keys.ts'
import { rotateKey } from '../../../bot/credentials/rotate.ts'
import { openBot } from '../../../bot/open.ts'
import type { OpenBot } from '../../../bot/open.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import { openDatabase } from '../../../bot/system/database.ts'
import { homeKeyPath } from '../../../bot/system/key-file.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryAgent } from '../../support/memory/memory-agent.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { openTestBot, runCommand, runJson } from '../fixture.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const TOKEN = 'the-secret-token-of-edge-a'
const STORE = { name: 'edge-a', url: 'http://127.0.0.1:1', token: TOKEN, zone: 'zone-1', provider: 'local', storeId: null }

/** Whether any file of a folder contains a text. */
function holds(folder: string, text: string): boolean {
  const entries = readdirSync(folder, { withFileTypes: true })
  return entries.some((entry) => (entry.isDirectory() ? holds(join(folder, entry.name), text) : readFileSync(join(folder, entry.name)).includes(text)))
}

/** The token of the only store, or why it cannot be read. */
function tokenOf(bot: OpenBot): string | undefined {
  const [store] = bot.fleet.registry.list()
  return store?.unreadable ?? store?.token
}

describe('a key', () => {
  test('reads what it encrypted, and nothing that was changed or bound to something else', () => {
    const key = makeKey()
    const sealed = seal(key, TOKEN, 'a')
    expect(unseal(key, sealed, 'a')).toBe(TOKEN)
    expect(unseal(key, sealed, 'b')).toBeUndefined()
    expect(unseal(makeKey(), sealed, 'a')).toBeUndefined()
    expect(seal(key, TOKEN, 'a')).not.toBe(sealed)
    const bytes = Buffer.from(sealed, 'base64')
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes)
      changed[at] = (changed[at] ?? 0) ^ 1
      expect(unseal(key, changed.toString('base64'), 'a')).toBeUndefined()
    }
    for (const short of ['', 'AAAA', bytes.subarray(0, 27).toString('base64')]) expect(unseal(key, short, 'a')).toBeUndefined()
  })

  test('is read from base64 and hexadecimal digits, one a line; anything else is refused', () => {
    const hex = '00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff'
    const base64 = 'ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8='
    expect(parseKeys(`${hex}\n`)?.map(({ id }) => id)).toEqual(parseKeys(base64)?.map(({ id }) => id) ?? [])
    expect(parseKeys(`\n${base64}\n${'f'.repeat(64)}\n`)).toHaveLength(2)
    for (const wrong of ['', '\n', 'x', hex.slice(2), `${base64}\nx`, base64.slice(4), 'not base64 at all, but thirty-two!!'])
      expect(parseKeys(wrong)).toBeUndefined()
    const keys = [makeKey(), makeKey()]
    expect(parseKeys(formatKeys(keys))?.map(({ id }) => id)).toEqual(keys.map(({ id }) => id))
  })
})

describe('the database', () => {
  test('has no token in clear; the key file is beside it and can be read by its owner only', async () => {
    await using folder = await createTemporaryFolder()
    {
      using bot = openTestBot(folder.path)
      bot.fleet.registry.add(STORE, 0)
      expect(holds(folder.path, TOKEN)).toBe(false)
      expect(tokenOf(bot)).toBe(TOKEN)
    }
    expect(statSync(homeKeyPath(folder.path)).mode & 0o777).toBe(0o600)
    expect(readdirSync(folder.path).toSorted()).toEqual(['bot', 'bot.key'])
    using bot = openTestBot(folder.path)
    expect(tokenOf(bot)).toBe(TOKEN)
  })

  test('of an earlier version has its tokens encrypted when it is opened', async () => {
    await using folder = await createTemporaryFolder()
    {
      using database = openDatabase(folder.path)
      database.run(`INSERT INTO stores (name, url, token, zone, provider, added_ms) VALUES ('edge-a', 'http://127.0.0.1:1', '${TOKEN}', 'z', 'local', 0)`)
    }
    expect(holds(folder.path, TOKEN)).toBe(true)
    using bot = openTestBot(folder.path)
    expect(tokenOf(bot)).toBe(TOKEN)
    expect(holds(folder.path, TOKEN)).toBe(false)
  })

  test('has a token encrypted that was written in clear after the first start', async () => {
    await using folder = await createTemporaryFolder()
    openTestBot(folder.path)[Symbol.dispose]()
    {
      using database = openDatabase(folder.path)
      database.run(`INSERT INTO stores (name, url, token, zone, provider, added_ms) VALUES ('edge-a', 'http://127.0.0.1:1', '${TOKEN}', 'z', 'local', 0)`)
    }
    expect(holds(folder.path, TOKEN)).toBe(true)
    using bot = openTestBot(folder.path)
    expect(tokenOf(bot)).toBe(TOKEN)
    expect(holds(folder.path, TOKEN)).toBe(false)
  })

  test('gets another key that the bot makes itself, and the key file then has only this one', async () => {
    await using folder = await createTemporaryFolder()
    const homeKeyFile = homeKeyPath(folder.path)
    const keyIds = () => parseKeys(readFileSync(homeKeyFile, 'utf8'))?.map(({ id }) => id)
    {
      using bot = openTestBot(folder.path)
      bot.fleet.registry.add(STORE, 0)
    }
    const before = keyIds()
    using database = openDatabase(folder.path)
    const { tokens, lost, keyId, outdated } = rotateKey({ database, clock: systemClock, keyFiles: [], homeKeyFile })
    expect({ tokens, lost, outdated }).toEqual({ tokens: 1, lost: [], outdated: [] })
    expect(keyIds()).toEqual([keyId])
    expect(before).toHaveLength(1)
    expect(before).not.toContain(keyId)
    using bot = openTestBot(folder.path)
    expect(tokenOf(bot)).toBe(TOKEN)
  })

  test('does not give a token to another address or store', async () => {
    await using folder = await createTemporaryFolder()
    using bot = openTestBot(folder.path)
    bot.fleet.registry.add(STORE, 0)
    using other = new Database(folder.file('bot', 'bot.db'))
    other.run("UPDATE stores SET url = 'http://attacker.example'")
    expect(tokenOf(bot)).toBe('the encrypted token was changed in the database, or belongs to another store or address')
    other.run("UPDATE stores SET url = 'http://127.0.0.1:1', store_id = 'another'")
    expect(tokenOf(bot)).toStartWith('the encrypted token was changed')
    other.run('UPDATE stores SET store_id = NULL')
    expect(tokenOf(bot)).toBe(TOKEN)
  })

  test('keeps a token through changes of everything that it is bound to', async () => {
    await using folder = await createTemporaryFolder()
    using bot = openTestBot(folder.path)
    const { registry } = bot.fleet
    registry.add(STORE, 0)
    for (const change of [{ url: 'http://127.0.0.1:2' }, { storeId: '11111111-2222-4333-8444-555555555555' }, { name: 'edge-z', zone: 'zone-2' }]) {
      registry.change(registry.list()[0]?.name ?? '', change)
      expect(tokenOf(bot)).toBe(TOKEN)
    }
    registry.change('edge-z', { token: 'another' })
    expect(tokenOf(bot)).toBe('another')
  })
})

describe('a wrong key', () => {
  test('is said in one sentence with the next step; the bot works, and a new token makes the store usable again', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = createMemoryAgent('edge-a')
    {
      using bot = openTestBot(folder.path)
      expect((await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${agent.token}`, 'zone=zone-1')).code).toBe(0)
    }
    const right = readFileSync(homeKeyPath(folder.path), 'utf8')
    const [key, wrong] = [parseKeys(right)?.[0], makeKey()]
    await Bun.write(homeKeyPath(folder.path), formatKeys([wrong]))
    const clock = createManualClock(Date.now())
    using bot = openTestBot(folder.path, clock)
    const reason = `the bot encrypts with the key ${key?.id}, and this process has the key ${wrong.id} (${homeKeyPath(folder.path)})`
    expect(tokenOf(bot)).toBe(reason)
    const list = await runJson(bot, 'store', 'list')
    expect(list).toMatchObject({
      code: 0,
      value: { items: [{ name: 'edge-a', state: 'error', finding: `The credentials of edge-a cannot be read: ${reason}.` }] },
    })
    const show = await runJson(bot, 'store', 'browse', 'edge-a')
    expect(show).toMatchObject({
      code: 1,
      value: { error: { detail: `The credentials of edge-a cannot be read: ${reason}.`, action: expect.stringContaining('SLIPWAY_BOT_KEY_FILE') } },
    })
    const refused = await runJson(bot, 'store', 'edit', 'edge-a', `token=${agent.token}`)
    expect(refused).toMatchObject({ code: 1, value: { error: { detail: `The token cannot be encrypted: ${reason}.` } } })
    // What needs no token can be changed all the same.
    expect(bot.fleet.registry.change('edge-a', { zone: 'zone-9' })).toMatchObject({ zone: 'zone-9', unreadable: reason })

    await Bun.write(homeKeyPath(folder.path), right)
    clock.advance(1_001)
    expect(tokenOf(bot)).toBe(agent.token)
    expect((await runJson(bot, 'store', 'list')).value['items']).toMatchObject([{ name: 'edge-a', state: 'running' }])
  })

  test('that is lost is replaced, and the store gets its token again', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = createMemoryAgent('edge-a')
    {
      using bot = openTestBot(folder.path)
      await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${agent.token}`, 'zone=zone-1')
    }
    await Bun.file(homeKeyPath(folder.path)).delete()
    using database = openDatabase(folder.path)
    const deps = { database, clock: systemClock, keyFiles: [], homeKeyFile: homeKeyPath(folder.path) }
    expect(() => rotateKey(deps)).toThrow('The token of edge-a cannot be read: the bot encrypts with the key')
    expect(existsSync(homeKeyPath(folder.path))).toBe(false)
    expect(rotateKey({ ...deps, isKeyLost: true })).toMatchObject({ tokens: 0, lost: ['edge-a'] })
    using bot = openTestBot(folder.path)
    expect((await runCommand(bot, 'store', 'edit', 'edge-a', `token=${agent.token}`)).code).toBe(0)
    expect(tokenOf(bot)).toBe(agent.token)
  })
})

describe('a key file that is given', () => {
  test('is used instead of one that the bot makes, and one that is missing or damaged is never replaced', async () => {
    await using folder = await createTemporaryFolder()
    const given = folder.file('given')
    const open = () => openBot(folder.path, { clock: systemClock, keyFiles: [given] })
    {
      using bot = open()
      expect(() => bot.fleet.registry.add(STORE, 0)).toThrow(`The token cannot be encrypted: this process has no key; ${given} is not there.`)
      await Bun.write(given, 'x\n')
    }
    {
      using bot = open()
      expect(() => bot.fleet.registry.add(STORE, 0)).toThrow('has a line that is not a key of 32 bytes in base64')
      await Bun.write(given, formatKeys([makeKey()]))
    }
    using bot = open()
    bot.fleet.registry.add(STORE, 0)
    expect(tokenOf(bot)).toBe(TOKEN)
    expect(existsSync(homeKeyPath(folder.path))).toBe(false)
    // A process that is not given the file makes no key of its own.
    using other = openTestBot(folder.path)
    expect(tokenOf(other)).toEndWith('and this process has no key')
    expect(existsSync(homeKeyPath(folder.path))).toBe(false)
  })

  test('is rotated by its operator: a new first line, then the command', async () => {
    await using folder = await createTemporaryFolder()
    const given = folder.file('given')
    const [old, next] = [makeKey(), makeKey()]
    await Bun.write(given, formatKeys([old]))
    using bot = openBot(folder.path, { clock: systemClock, keyFiles: [given] })
    bot.fleet.registry.add(STORE, 0)
    using database = openDatabase(folder.path)
    const deps = { database, clock: systemClock, keyFiles: [given], homeKeyFile: homeKeyPath(folder.path) }
    expect(() => rotateKey(deps)).toThrow(`${given} begins with the key that is in use, and the bot does not write this file. Nothing was changed.`)
    await Bun.write(given, formatKeys([next, old]))
    expect(rotateKey(deps)).toEqual({ tokens: 1, lost: [], keyId: next.id, outdated: [given] })
    await Bun.write(given, formatKeys([next]))
    using later = openBot(folder.path, { clock: systemClock, keyFiles: [given] })
    expect(tokenOf(later)).toBe(TOKEN)
  })
})
