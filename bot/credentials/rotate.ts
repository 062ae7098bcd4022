// Replaces the key that encrypts the tokens of agents: a new key is durable before a token is encrypted with it, and the old one is removed after the
// last one was. A process that is killed in between leaves a key file that reads every token; the next run goes on.

import { problem } from '../../protocol/problems.ts'
import type { BotDatabase } from '../system/database.ts'
import { writeKeyFile } from '../system/key-file.ts'
import { makeKey, seal } from '../system/keys.ts'
import type { Key } from '../system/keys.ts'
import { boundText, currentKeyId, KEY_ACTION, openVault, readRing } from './vault.ts'
import type { VaultDeps } from './vault.ts'

export interface Rotation {
  /** Tokens that were encrypted again. */
  readonly tokens: number
  /** Stores whose tokens cannot be read. */
  readonly lost: readonly string[]
  readonly keyId: string
  /** Files with keys that are not used any more, which the bot does not write. */
  readonly outdated: readonly string[]
}

/** The steps between which a process may be killed. */
export type RotationStep = 'key-written' | 'tokens-encrypted' | 'old-key-removed'

export interface RotateDeps extends VaultDeps {
  /** Whether tokens that cannot be read are left as they are, until each store gets its token again. */
  readonly isKeyLost?: boolean
  readonly reached?: (step: RotationStep) => void
}

interface Row {
  readonly name: string
  readonly token: string
  readonly token_key: string | null
  readonly store_id: string | null
  readonly url: string
}

/**
 * Encrypts all tokens with the first key of the first key file. If that is the one in use and the bot makes its key file itself, makes a new key first.
 * Throws `conflict`, and changes nothing, when a token cannot be read and its key is not lost, or when the operator must write the new key.
 */
export function rotateKey(deps: RotateDeps): Rotation {
  const { database, keyFiles, homeKeyFile, isKeyLost = false, reached } = deps
  const vault = openVault(deps)
  const isOwnFile = keyFiles.length === 0
  let target: Key | undefined
  const lost: string[] = []
  const tokens = database
    .transaction(() => {
      const ring = readRing(deps)
      const used = currentKeyId(database)
      const rows = database.query<Row, []>('SELECT name, token, token_key, store_id, url FROM stores').all()
      const clear = rows.flatMap((row) => {
        const { token, unreadable } = vault.read({ text: row.token, keyId: row.token_key }, { storeId: row.store_id, url: row.url })
        if (unreadable !== undefined && isKeyLost) {
          lost.push(row.name)
          return []
        }
        if (unreadable !== undefined)
          throw problem('conflict', `The token of ${row.name} cannot be read: ${unreadable}. Nothing was changed.`, { action: KEY_ACTION })
        return [{ ...row, token }]
      })
      const isMade = !ring.first && isKeyLost && isOwnFile && ring.troubles.length === 0
      if (isMade) {
        target = makeKey()
        writeKeyFile(homeKeyFile, [target])
        return encryptAll(database, target, clear)
      }
      if (!ring.first)
        throw problem('conflict', `There is no key file that can be used${ring.troubles.map((trouble) => `: ${trouble}`).join('')}.`, { action: KEY_ACTION })
      target = ring.first
      if (target.id === used && isOwnFile && ring.keys.size === 1) {
        target = makeKey()
        writeKeyFile(homeKeyFile, [target, ring.first])
        reached?.('key-written')
      } else if (target.id === used && !isOwnFile) {
        throw problem('conflict', `${keyFiles[0]} begins with the key that is in use, and the bot does not write this file. Nothing was changed.`, {
          action: 'Put a new key on a line before it (openssl rand -base64 32) and keep the old line; restart the service, and run rotate-key again.',
        })
      }
      return encryptAll(database, target, clear)
    })
    .immediate()
  if (!target) throw new Error('tokens were encrypted without a key')
  reached?.('tokens-encrypted')
  database.run('PRAGMA wal_checkpoint(TRUNCATE)')
  if (isOwnFile) writeKeyFile(homeKeyFile, [target])
  reached?.('old-key-removed')
  return { tokens, lost, keyId: target.id, outdated: isOwnFile ? [] : [...keyFiles.slice(0, 1)] }
}

function encryptAll(database: BotDatabase, key: Key, rows: readonly Row[]): number {
  const write = database.query<null, { name: string; text: string; keyId: string }>('UPDATE stores SET token = $text, token_key = $keyId WHERE name = $name')
  for (const { name, token, store_id: storeId, url } of rows) write.run({ name, text: seal(key, token, boundText({ storeId, url })), keyId: key.id })
  database.query<null, { id: string }>('UPDATE credential_key SET key_id = $id').run({ id: key.id })
  return rows.length
}
