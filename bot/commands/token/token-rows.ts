// Tokens as rows, fields and JSON. A secret is shown once, to the person who asked for it.

import type { CreatedToken, Token } from '../../../protocol/access.ts'
import { formatTime } from '../../../protocol/time.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { Column, Field, Row, View } from '../../../protocol/views/view.ts'
import { formatWireTime, UNKNOWN } from '../../../protocol/views/phrases.ts'
import type { FoundToken } from './find.ts'

export const TOKEN_COLUMNS: readonly Column[] = [
  { key: 'name', label: 'Name', isWhole: true },
  { key: 'store', label: 'Store', isWhole: true },
  { key: 'role', label: 'Role' },
  { key: 'user', label: 'User' },
  { key: 'groups', label: 'Groups', isMinor: true },
  { key: 'used', label: 'Last used' },
  { key: 'expires', label: 'Expires', isMinor: true },
  { key: 'created', label: 'Created', isMinor: true },
  { key: 'id', label: 'Id', isWhole: true },
]

export function tokenRow({ store, token }: FoundToken): Row {
  return {
    cells: {
      name: token.name,
      store: store.name,
      role: token.role,
      user: token.subject ?? UNKNOWN,
      groups: token.groups.length === 0 ? UNKNOWN : token.groups.join(', '),
      used: token.lastUsedAt === null ? 'never' : formatWireTime(token.lastUsedAt),
      expires: expiryWords(token),
      created: formatWireTime(token.createdAt),
      id: token.id,
    },
  }
}

export function tokenFields({ store, token }: FoundToken): Field[] {
  return [
    { label: 'Name', value: token.name },
    { label: 'Id', value: token.id },
    { label: 'Store', value: store.name },
    { label: 'Role', value: token.role },
    { label: 'User', value: token.subject ?? 'none' },
    { label: 'Groups', value: token.groups.length === 0 ? 'none' : token.groups.join(', ') },
    { label: 'Expires', value: expiryWords(token) },
  ]
}

/** The View of a new secret, which nobody can show again. */
export function secretView(
  title: string,
  { store, token }: { readonly store: FoundToken['store']; readonly token: CreatedToken },
  more: { readonly asOfMs: number; readonly notes?: readonly string[] },
): View {
  return makeView({
    title,
    text: 'The secret is shown only now. Keep it where only the program that needs it can read it.',
    isPrivate: true,
    fields: [...tokenFields({ store, token }), { label: 'Secret', value: token.token }],
    notes: more.notes ?? [],
    asOfMs: more.asOfMs,
    json: { store: store.name, ...token, asOf: formatTime(more.asOfMs) },
  })
}

function expiryWords({ expiresAt }: Token): string {
  return expiresAt === null ? 'never' : formatWireTime(expiresAt)
}
