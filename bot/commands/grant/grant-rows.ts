// Grants between stores as rows and fields.

import type { Token } from '../../../protocol/access.ts'
import type { StoreRecord } from '../../fleet/registry.ts'
import { formatWireTime, plural, UNKNOWN } from '../../../protocol/views/phrases.ts'
import type { Column, Field, Row } from '../../../protocol/views/view.ts'
import type { FoundToken } from '../token/find.ts'

/** Images of one grant that a row names; the others are counted. */
const NAMED_MAX = 2

export const GRANT_COLUMNS: readonly Column[] = [
  { key: 'source', label: 'Source', isWhole: true },
  { key: 'target', label: 'Target', isWhole: true },
  { key: 'images', label: 'Images' },
  { key: 'by', label: 'By', isMinor: true },
  { key: 'used', label: 'Last used' },
  { key: 'expires', label: 'Expires' },
  { key: 'id', label: 'Id', isWhole: true },
]

/** Whether a token is a grant between stores. */
export function isGrant({ grant }: Token): boolean {
  return grant !== null
}

export function grantRow(found: FoundToken, stores: readonly StoreRecord[]): Row {
  const { store, token } = found
  return {
    cells: {
      source: store.name,
      target: targetName(found, stores),
      images: imagesText(token),
      by: token.grant?.createdBy ?? UNKNOWN,
      used: token.lastUsedAt === null ? 'not since the agent started' : formatWireTime(token.lastUsedAt),
      expires:
        token.expiresAt === null
          ? UNKNOWN
          : `${formatWireTime(token.expiresAt)}${token.grant?.healingUntil === undefined ? '' : ', later if used for repairs'}`,
      id: token.id,
    },
  }
}

export function grantFields(found: FoundToken, stores: readonly StoreRecord[]): Field[] {
  const { cells } = grantRow(found, stores)
  return GRANT_COLUMNS.map(({ key, label }) => ({ label, value: cells[key] ?? UNKNOWN }))
}

/** The name of the target in the registry of the bot, else its UUID. */
function targetName({ token }: FoundToken, stores: readonly StoreRecord[]): string {
  const target = token.grant?.target
  if (target === null || target === undefined) return 'any store'
  return stores.find(({ storeId }) => storeId === target)?.name ?? target
}

function imagesText({ grant }: Token): string {
  const images = grant?.images ?? []
  if (images.length <= NAMED_MAX) return images.join(', ')
  return plural(images.length, 'image')
}
