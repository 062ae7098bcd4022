// The record of an unfinished upload, for tests that need some of its members.

import type { UploadFile } from '../../../../agent/uploads/record/upload-file.ts'

/** Returns the record of an upload of 1,000 bytes by the token tok_ann, with changes. */
export function uploadFile(changes: Partial<UploadFile> = {}): UploadFile {
  return {
    format: 2,
    id: 'upl_00000000000000000000000001',
    creator: 'ann',
    creatorTokenId: 'tok_ann',
    linkId: null,
    createdAtMs: Date.parse('2026-03-01T12:00:00.000Z'),
    length: 1000,
    metadata: null,
    concat: null,
    kind: 'whole',
    imageId: 'img_00000000000000000000000001',
    draft: { name: 'disk', description: '' },
    mayBeInstallation: true,
    filename: null,
    device: null,
    internal: null,
    publishedAtMs: null,
    ...changes,
  }
}
