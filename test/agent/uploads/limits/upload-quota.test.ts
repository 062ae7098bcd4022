// How many unfinished uploads there may be: of a store, of a token with its links, and of the links of a token.

import { describe, expect, test } from 'bun:test'
import type { Actor } from '../../../../agent/contract/access.ts'
import { createUploadQuota, QUOTA_LIMITS } from '../../../../agent/uploads/limits/upload-quota.ts'
import { Journal } from '../../../../agent/uploads/record/journal.ts'
import type { Upload } from '../../../../agent/uploads/record/upload.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { uploadFile } from '../record/upload-file-of.ts'

const ann: Actor = { name: 'ann', role: 'uploader', tokenId: 'tok_ann' }
const bob: Actor = { name: 'bob', role: 'uploader', tokenId: 'tok_bob' }
const byLink = (id: string): Actor => ({
  name: 'ann',
  role: 'uploader',
  link: { id, makerTokenId: 'tok_ann', maker: { role: 'uploader' }, kind: 'upload', endMs: 1e15, maxLength: 10 },
})

function uploadOf(creatorTokenId: string | null, linkId: string | null = null): Upload {
  const deps = { disk: createDisk(), random: (length: number) => new Uint8Array(length) }
  return { file: uploadFile({ creatorTokenId, linkId }), journal: Journal.empty(deps, '/nowhere') }
}

test('a store has 10,000 unfinished uploads, a token 1,000, and its links 100 of these', () => {
  expect(QUOTA_LIMITS).toEqual({ store: 10_000, creator: 1000, links: 100 })
})

describe('the quota', () => {
  test('counts the uploads of a token and of its links, and those that are being created', () => {
    const live = [uploadOf('tok_ann'), uploadOf('tok_ann', 'lnk_1'), uploadOf('tok_bob'), uploadOf(null)]
    const quota = createUploadQuota(() => live, { store: 100, creator: 3, links: 2 })
    const third = quota.acquire(byLink('lnk_2'))
    expect(() => quota.acquire(ann)).toThrow('The token already has 3 unfinished uploads, which is its limit.')
    expect(() => quota.acquire(byLink('lnk_3'))).toThrow('The token already has 3 unfinished uploads, which is its limit.')
    quota.acquire(bob)
    third[Symbol.dispose]()
    quota.acquire(ann)
    expect(() => quota.acquire(ann)).toThrow('The token already has 3 unfinished uploads')
  })

  test('leaves a token what its links do not use', () => {
    const live = [uploadOf('tok_ann', 'lnk_1'), uploadOf('tok_bob', 'lnk_9')]
    const quota = createUploadQuota(() => live, { store: 100, creator: 10, links: 2 })
    quota.acquire(byLink('lnk_2'))
    expect(() => quota.acquire(byLink('lnk_3'))).toThrow('The links of the token already have 2 unfinished uploads, which is their limit.')
    quota.acquire(ann)
  })

  test('of the store counts the uploads of all', () => {
    const live = [uploadOf('tok_ann'), uploadOf('tok_bob'), uploadOf(null)]
    const quota = createUploadQuota(() => live, { store: 5, creator: 10, links: 10 })
    quota.acquire(ann)
    quota.acquire(bob)
    expect(() => quota.acquire({ ...bob, tokenId: 'tok_new' })).toThrow('The store already has 5 unfinished uploads, which is its limit.')
  })
})
