// Encrypts and decrypts the tokens of agents in the bot's database. Every process of the bot has the keys of its key files; the database says which of
// them encrypts now, so that a process that was started before a rotation does not use an old one.

import { problem } from '../../protocol/problems.ts'
import type { Clock } from '../system/clock.ts'
import type { BotDatabase } from '../system/database.ts'
import { readKeyFile, writeKeyFile } from '../system/key-file.ts'
import { makeKey, seal, unseal } from '../system/keys.ts'
import type { Key } from '../system/keys.ts'

/** To what a token is bound: one that is moved to another row, or whose row gets another address, cannot be read. */
export interface Bound {
  readonly storeId: string | null
  readonly url: string
}

/** A token as a row of the database has it; `keyId` is null for a token in clear. */
export interface KeptToken {
  readonly text: string
  readonly keyId: string | null
}

/** A token; or an empty one, and why it cannot be read. */
export interface ReadToken {
  readonly token: string
  readonly unreadable?: string
}

export interface Vault {
  /** Encrypts a token with the key that encrypts now. Throws `conflict` when this process does not have it. Call it in a transaction that writes. */
  keep(token: string, bound: Bound): KeptToken
  /** Decrypts a token. */
  read(kept: KeptToken, bound: Bound): ReadToken
}

export interface VaultDeps {
  readonly database: BotDatabase
  readonly clock: Pick<Clock, 'monotonicMs'>
  /** Key files that the bot is given, the first of them encrypts: SLIPWAY_BOT_KEY_FILE, then the credential of the service. */
  readonly keyFiles: readonly string[]
  /** The key file that the bot makes itself. */
  readonly homeKeyFile: string
}

/** Least time between two readings of the key files for a key that is missing, in milliseconds. */
const RELOAD_MS = 1000
/** Decrypted tokens that are remembered; the registry is read often. */
const REMEMBERED_MAX = 4096

/** The vault of a database in memory, which no other process and no backup reads: tokens stay in clear. */
export const CLEAR_VAULT: Vault = { keep: (text) => ({ text, keyId: null }), read: ({ text }) => ({ token: text }) }

/** Opens the vault: chooses the key of a new database, makes a key file if none is given, and encrypts tokens that are still in clear. */
export function openVault(deps: VaultDeps): Vault {
  const { database, clock } = deps
  const remembered = new Map<string, string>()
  let ring = readRing(deps)
  let readMs = clock.monotonicMs()
  const find = (id: string | undefined): Key | undefined => {
    if (id === undefined) return undefined
    const known = ring.keys.get(id)
    if (known || clock.monotonicMs() - readMs < RELOAD_MS) return known
    ring = readRing(deps)
    readMs = clock.monotonicMs()
    return ring.keys.get(id)
  }
  const vault: Vault = {
    keep(token, bound) {
      const id = currentKeyId(database)
      const key = find(id)
      if (key) return { text: seal(key, token, boundText(bound)), keyId: key.id }
      throw problem('conflict', `The token cannot be encrypted: ${missingKey(ring, id)}.`, { action: KEY_ACTION })
    },
    read({ text, keyId }, bound) {
      if (keyId === null) return { token: text }
      const name = `${keyId} ${text} ${boundText(bound)}`
      const before = remembered.get(name)
      if (before !== undefined) return { token: before }
      const key = find(keyId)
      if (!key) return { token: '', unreadable: missingKey(ring, keyId) }
      const token = unseal(key, text, boundText(bound))
      if (token === undefined) return { token: '', unreadable: 'the encrypted token was changed in the database, or belongs to another store or address' }
      if (remembered.size >= REMEMBERED_MAX) remembered.clear()
      remembered.set(name, token)
      return { token }
    },
  }
  prepare(deps, ring, vault)
  ring = readRing(deps)
  return vault
}

/** What to do when the key of the bot is missing. */
export const KEY_ACTION =
  'Give the bot this key again: SLIPWAY_BOT_KEY_FILE, the credential slipway-bot-key, or bot.key in SLIPWAY_HOME. If it is lost, run slipway rotate-key --lost-key, then store edit S token=… for each store.'

/** The keys of this process, and why those that are there cannot be used. */
export interface Ring {
  readonly keys: ReadonlyMap<string, Key>
  /** The key with which a new database begins: the first of the first key file. */
  readonly first: Key | undefined
  readonly troubles: readonly string[]
  /** The files that were read. */
  readonly paths: readonly string[]
}

export function readRing({ keyFiles, homeKeyFile }: Pick<VaultDeps, 'keyFiles' | 'homeKeyFile'>): Ring {
  const keys = new Map<string, Key>()
  const troubles: string[] = []
  const paths: string[] = []
  let first: Key | undefined
  for (const path of [...keyFiles, homeKeyFile]) {
    const file = readKeyFile(path)
    if (!file) {
      if (keyFiles.includes(path)) troubles.push(`${path} is not there`)
      continue
    }
    paths.push(path)
    if ('trouble' in file) troubles.push(file.trouble)
    else for (const key of file.keys) keys.set(key.id, key)
    if ('keys' in file) first ??= file.keys[0]
  }
  return { keys, first, troubles, paths }
}

/** The id of the key that encrypts now; undefined before the first. */
export function currentKeyId(database: BotDatabase): string | undefined {
  return database.query<{ key_id: string }, []>('SELECT key_id FROM credential_key').get()?.key_id
}

export function boundText({ storeId, url }: Bound): string {
  return JSON.stringify(['slipway-bot token', storeId ?? '', url])
}

function missingKey({ keys, troubles, paths }: Ring, id: string | undefined): string {
  const has = keys.size === 0 ? 'this process has no key' : `this process has the key ${[...keys.keys()].join(' and ')} (${paths.join(', ')})`
  const why = troubles.length === 0 ? '' : `; ${troubles.join('; ')}`
  return id === undefined ? `${has}${why}` : `the bot encrypts with the key ${id}, and ${has}${why}`
}

interface ClearRow {
  readonly name: string
  readonly token: string
  readonly store_id: string | null
  readonly url: string
}

function prepare({ database, keyFiles, homeKeyFile }: VaultDeps, ring: Ring, vault: Vault): void {
  const sealed = database
    .transaction(() => {
      if (currentKeyId(database) === undefined) {
        // A key file that is given and cannot be used must not be replaced by another key behind the back of the operator.
        const key = ring.first ?? (keyFiles.length === 0 && ring.troubles.length === 0 ? makeKey() : undefined)
        if (!key) return 0
        if (!ring.first) writeKeyFile(homeKeyFile, [key])
        database.query<null, { id: string }>('INSERT INTO credential_key (one, key_id) VALUES (1, $id)').run({ id: key.id })
        return sealClear(database, ring.first ? vault : { ...vault, keep: (token, bound) => ({ text: seal(key, token, boundText(bound)), keyId: key.id }) })
      }
      return ring.keys.has(currentKeyId(database) ?? '') ? sealClear(database, vault) : 0
    })
    .immediate()
  // The tokens in clear must not stay in the write-ahead log.
  if (sealed > 0) database.run('PRAGMA wal_checkpoint(TRUNCATE)')
}

function sealClear(database: BotDatabase, vault: Vault): number {
  const rows = database.query<ClearRow, []>('SELECT name, token, store_id, url FROM stores WHERE token_key IS NULL').all()
  const write = database.query<null, { name: string; text: string; keyId: string | null }>(
    'UPDATE stores SET token = $text, token_key = $keyId WHERE name = $name',
  )
  for (const { name, token, store_id: storeId, url } of rows) write.run({ name, ...vault.keep(token, { storeId, url }) })
  return rows.length
}
