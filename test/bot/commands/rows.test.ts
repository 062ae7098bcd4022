// Tokens and uploads as rows of a table, as literals.

import { describe, expect, test } from 'bun:test'
import { tokenFields, tokenRow } from '../../../bot/commands/token/token-rows.ts'
import { uploadRow, uploadView } from '../../../bot/commands/upload/upload-rows.ts'
import type { StoreRecord } from '../../../bot/fleet/registry.ts'
import { tokenSchema } from '../../../protocol/access.ts'
import type { Token } from '../../../protocol/access.ts'
import type { Upload } from '../../../protocol/upload.ts'

const store = { name: 'edge-a' } as StoreRecord

describe('a token', () => {
  const token = (members: Partial<Token> = {}): Token =>
    tokenSchema.parse({ id: 'tok_1', name: 'ci', role: 'viewer', createdAt: '2026-01-01T00:00:00.000Z', expiresAt: null, lastUsedAt: null, ...members })
  const field = (one: Token, label: string): string | undefined => tokenFields({ store, token: one }).find((found) => found.label === label)?.value

  test.each<[Partial<Token>, Record<string, string>]>([
    [{}, { name: 'ci', store: 'edge-a', role: 'viewer', groups: '–', user: '–', used: 'never', id: 'tok_1' }],
    [
      { groups: ['ops'], subject: 'ada' },
      { groups: 'ops', user: 'ada' },
    ],
    [{ groups: ['ops', 'dev'] }, { groups: 'ops, dev' }],
  ])('%j', (members, cells) => {
    expect(tokenRow({ store, token: token(members) }).cells).toMatchObject(cells)
  })

  test('alone says what it has not', () => {
    expect([field(token(), 'Groups'), field(token(), 'User'), field(token({ groups: ['ops'], subject: 'ada' }), 'Groups')]).toEqual(['none', 'none', 'ops'])
  })
})

describe('an upload', () => {
  const upload: Upload = {
    id: 'upl_1',
    kind: 'whole',
    state: 'uploading',
    stateReason: 'Bytes arrive.',
    offset: 512,
    length: 1024,
    rate: 0,
    etaSeconds: null,
    name: 'debian',
    imageId: 'img_1',
    owner: null,
    creator: 'ci',
    device: null,
    filename: null,
    createdAt: '2026-01-01T00:00:00.000Z',
    activeAt: '2026-01-01T00:00:00.000Z',
    expiresAt: null,
  }
  const row = (members: Partial<Upload>) => uploadRow({ store, upload: { ...upload, ...members } })

  test.each<[Partial<Upload>, Record<string, string>]>([
    [
      {},
      {
        name: 'debian',
        store: 'edge-a',
        state: 'Uploading',
        progress: '512 B of 1.0 kB (50 %)',
        rate: '–',
        by: 'ci',
        device: '–',
        expires: 'never',
        id: 'upl_1',
      },
    ],
    [{ offset: 0, length: 0 }, { progress: '0 B of 0 B (100 %)' }],
    [{ offset: 0, length: 1 }, { progress: '0 B of 1 B (0 %)' }],
    [{ offset: 1023 }, { progress: '1.0 kB of 1.0 kB (99 %)' }],
    [{ length: null }, { progress: '512 B' }],
    [{ rate: 1 }, { rate: '1 B/s' }],
    [{ rate: 10, etaSeconds: 60 }, { rate: '10 B/s, 1 min left' }],
    [{ state: 'pending' }, { state: 'Pending' }],
    [{ name: null, kind: 'partial' }, { name: 'part upl_1' }],
    [{ name: null }, { name: 'upl_1' }],
  ])('%j', (members, cells) => {
    expect(row(members).cells).toMatchObject(cells)
  })

  test('is good while bytes arrive, and says which image it becomes', () => {
    expect([row({}).tone, row({ state: 'pending' }).tone]).toEqual(['good', 'plain'])
    const image = (members: Partial<Upload>): string | undefined =>
      uploadView('x', { store, upload: { ...upload, ...members } }, 0).fields.find(({ label }) => label === 'Image')?.value
    expect([image({}), image({ imageId: null, kind: 'partial', name: null })]).toEqual(['debian (img_1)', 'none: a part of a concatenation'])
  })
})
