// Rules for new images: which formats a kind has, and who may add installation images, when an image is declared and when it has been inspected.

import { describe, expect, test } from 'bun:test'
import { applyRules, createImageRules } from '../../../../agent/images/records/image-rules.ts'
import type { Inspection } from '../../../../agent/images/formats/inspection.ts'
import { fresh } from '../../../../agent/images/records/image-states.ts'
import type { Actor } from '../../../../agent/contract/access.ts'
import { imageFormatSchema, imageKindSchema } from '../../../../protocol/images/image.ts'
import type { ImageDraft, ImageFormat } from '../../../../protocol/images/image.ts'
import { kindRefusal } from '../../../../protocol/images/image-kinds.ts'
import { ProblemError } from '../../../../protocol/problems.ts'
import { openImageStore } from '../../../support/images/image-store.ts'
import { buildQcow2 } from '../../../support/images/qcow2-image.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { RAW_DETAILS } from '../../../support/images/inspected.ts'

const SOURCE = { kind: 'upload', uploadId: null, storeId: null, url: null, filename: null, device: null } as const

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof ProblemError) return error.code
    throw error
  }
  return 'admitted'
}

test('an installation image is an ISO, and nothing else is', () => {
  const allowed = imageKindSchema.options.flatMap((kind) =>
    imageFormatSchema.options.filter((format) => kindRefusal(kind, format) === undefined).map((format) => `${kind} ${format}`),
  )
  expect(allowed.filter((pair) => pair.includes('iso'))).toEqual(['iso iso'])
  expect(allowed.filter((pair) => pair.endsWith('qcow2'))).toEqual([
    'system qcow2',
    'disk qcow2',
    'base qcow2',
    'template qcow2',
    'snapshot qcow2',
    'backup qcow2',
    'capture qcow2',
    'virtualDisk qcow2',
  ])
  expect(allowed.length).toBe(25)
  expect(kindRefusal('template', 'iso')).toBe('An image of the kind template is raw, qcow2 or vmdk, not iso.')
  expect(kindRefusal('iso', 'raw')).toBe('An image of the kind iso is iso, not raw.')
})

describe('the declaration of an image', () => {
  const actorOf = (role: Actor['role']): Pick<Actor, 'role' | 'link'> => ({ role })

  test.each<['uploader' | 'operator' | 'admin', Actor['role'], boolean]>([
    ['admin', 'admin', true],
    ['admin', 'operator', false],
    ['admin', 'uploader', false],
    ['operator', 'admin', true],
    ['operator', 'operator', true],
    ['operator', 'uploader', false],
    ['uploader', 'uploader', true],
    ['uploader', 'viewer', false],
  ])('with images.installation-images = %s, an ISO by role %s: %p', (installationRole, role, isAllowed) => {
    const rules = createImageRules({ installationRole })
    for (const draft of [{ kind: 'iso' }, { format: 'iso' }, { kind: 'iso', format: 'iso' }] as const)
      expect(codeOf(() => rules.admitDraft(draft, actorOf(role)))).toBe(isAllowed ? 'admitted' : 'forbidden')
    for (const draft of [{}, { kind: 'template' }, { format: 'qcow2' }] as const)
      expect(rules.admitDraft(draft, actorOf(role))).toEqual({ mayBeInstallation: isAllowed })
  })

  test('by a link has the right of its creator', () => {
    const rules = createImageRules({ installationRole: 'admin' })
    const link = { id: 'lnk_1', makerTokenId: 'tok_1', kind: 'upload', endMs: 0 } as const
    expect(rules.admitDraft({ kind: 'iso' }, { role: 'uploader', link: { ...link, maker: { role: 'admin' } } })).toEqual({ mayBeInstallation: true })
    expect(codeOf(() => rules.admitDraft({ kind: 'iso' }, { role: 'uploader', link: { ...link, maker: { role: 'operator' } } }))).toBe('forbidden')
  })

  test('must name a kind that has the format', () => {
    const rules = createImageRules({ installationRole: 'admin' })
    expect(codeOf(() => rules.admitDraft({ kind: 'template', format: 'iso' }, actorOf('admin')))).toBe('format-mismatch')
    expect(codeOf(() => rules.admitDraft({ kind: 'iso', format: 'qcow2' }, actorOf('admin')))).toBe('format-mismatch')
  })
})

describe('a store that takes certain kinds only', () => {
  const rules = createImageRules({ installationRole: 'uploader', acceptedKinds: () => ['iso', 'template'] })
  const uploader = { role: 'uploader' } as const
  const judged = (draft: Pick<ImageDraft, 'kind' | 'format'>, origin?: 'upload' | 'sync' | 'url' | 'inbox' | 'existing'): string =>
    codeOf(() => rules.admitDraft(draft, uploader, origin))

  test.each<[Pick<ImageDraft, 'kind' | 'format'>, string]>([
    [{ kind: 'iso' }, 'admitted'],
    [{ kind: 'template' }, 'admitted'],
    [{ kind: 'template', format: 'qcow2' }, 'admitted'],
    [{ format: 'iso' }, 'admitted'],
    [{ kind: 'disk' }, 'kind-not-accepted'],
    [{ kind: 'virtualDisk' }, 'kind-not-accepted'],
    [{ kind: 'snapshot', format: 'raw' }, 'kind-not-accepted'],
    [{ format: 'qcow2' }, 'kind-not-accepted'],
    // Without a declaration, the bytes may show a disk.
    [{}, 'kind-not-accepted'],
  ])('%j is %s', (draft, expected) => {
    expect(judged(draft)).toBe(expected)
    expect(judged(draft, 'url')).toBe(expected)
    expect(judged(draft, 'sync')).toBe(expected)
  })

  test('says which kinds it takes, and what the image is', () => {
    expect(() => rules.admitDraft({ kind: 'disk' }, uploader)).toThrow('This store takes only images of the kinds iso, template, not the kind disk.')
    expect(() => rules.admitDraft({ format: 'raw' }, uploader)).toThrow('This store takes only images of the kinds iso, template, not the kind disk.')
    expect(() => rules.admitDraft({}, uploader)).toThrow(
      'This store takes only images of the kinds iso, template, and this image declares no kind, so that it may be disk or iso.',
    )
  })

  test('lets the bytes of a file on the mount path decide, unless it takes none of what they may be', () => {
    for (const origin of ['inbox', 'existing'] as const) {
      expect([judged({}, origin), judged({ kind: 'disk' }, origin)]).toEqual(['admitted', 'kind-not-accepted'])
      const templates = createImageRules({ installationRole: 'uploader', acceptedKinds: () => ['template'] })
      expect(codeOf(() => templates.admitDraft({}, uploader, origin))).toBe('kind-not-accepted')
    }
  })

  test('takes an image of unknown kind if it takes disks and ISOs, and every image without a restriction', () => {
    const both = createImageRules({ installationRole: 'uploader', acceptedKinds: () => ['disk', 'iso'] })
    expect([codeOf(() => both.admitDraft({}, uploader)), codeOf(() => both.admitDraft({ kind: 'base' }, uploader))]).toEqual(['admitted', 'kind-not-accepted'])
    const all = createImageRules({ installationRole: 'uploader', acceptedKinds: () => [] })
    for (const kind of imageKindSchema.options) expect(codeOf(() => all.admitDraft({ kind }, uploader))).toBe('admitted')
  })

  test.each<['inbox' | 'existing' | 'upload', ImageFormat, ImageDraft['kind'], string]>([
    ['inbox', 'raw', undefined, 'kind-not-accepted'],
    ['existing', 'qcow2', undefined, 'kind-not-accepted'],
    ['inbox', 'iso', undefined, 'accepted'],
    ['inbox', 'raw', 'template', 'accepted'],
    // It was admitted before the store took these kinds only.
    ['upload', 'raw', undefined, 'accepted'],
  ])('a file that came by %s with bytes of %s and the declared kind %s is %s', (origin, format, kind, expected) => {
    const draft = { name: 'one', description: '', ...(kind ? { kind } : {}) }
    const stored = fresh({ id: 'img_1', draft, source: { ...SOURCE, kind: origin } }, 1000, null, 0)
    const judgement = applyRules({ kind: 'accepted', format, virtualSize: 1000, details: RAW_DETAILS }, stored, ['iso', 'template'])
    expect(judgement.kind === 'refused' ? judgement.refusal : 'accepted').toBe(expected)
    expect(applyRules({ kind: 'accepted', format, virtualSize: 1000, details: RAW_DETAILS }, stored, []).kind).toBe('accepted')
    if (judgement.kind === 'refused')
      expect(judgement.reason).toBe(
        'Store takes other kinds only: its bytes are of the kind disk, and the store takes only iso, template. Move the file to another store.',
      )
  })
})

describe('an inspected image', () => {
  const judge = (format: ImageFormat, draft: Partial<ImageDraft>, mayBeInstallation = true): string => {
    const stored = fresh({ id: 'img_1', draft: { name: 'one', description: '', ...draft }, source: SOURCE, mayBeInstallation }, 1000, null, 0)
    const inspection: Inspection = { kind: 'accepted', format, virtualSize: 1000, details: { ...RAW_DETAILS, detected: format } }
    const judged = applyRules(inspection, stored)
    return judged.kind === 'refused' ? `${judged.refusal} ${judged.details.refusal}: ${judged.reason}` : 'accepted'
  }

  test('must have a format of its declared kind', () => {
    expect(judge('iso', { kind: 'template' })).toBe(
      'format-mismatch format-mismatch: Format mismatch: An image of the kind template is raw, qcow2 or vmdk, not iso. Upload it again with kind=iso, or as a disk image.',
    )
    expect(judge('raw', { kind: 'iso' })).toStartWith('format-mismatch format-mismatch: Format mismatch: An image of the kind iso is iso, not raw. ')
    expect(judge('qcow2', { kind: 'template' })).toBe('accepted')
    expect(judge('iso', {})).toBe('accepted')
    expect(judge('raw', {})).toBe('accepted')
  })

  test('is refused if it turns out to be an ISO that its creator may not add', () => {
    expect(judge('iso', {}, false)).toStartWith('forbidden forbidden: Not allowed: its bytes are an ISO, ')
    expect(judge('raw', {}, false)).toBe('accepted')
  })

  test('leaves a refusal as it is', () => {
    const refused: Inspection = { kind: 'refused', refusal: 'unsafe-image', format: 'iso', virtualSize: null, details: RAW_DETAILS, reason: 'Unsafe.' }
    const stored = fresh({ id: 'img_1', draft: { name: 'one', description: '', kind: 'template' }, source: SOURCE }, 1000, null, 0)
    expect(applyRules(refused, stored)).toBe(refused)
  })
})

test('the kind of an image changes only to one that has its format', async () => {
  await using folder = await createTemporaryFolder()
  await using store = await openImageStore(folder)
  const { id } = await store.add(buildQcow2().bytes, { name: 'one' })
  expect(store.catalogue.need(id)).toMatchObject({ status: 'available', kind: 'disk', format: 'qcow2' })
  expect(await store.catalogue.patch(id, { kind: 'template' }, 'test')).toMatchObject({ kind: 'template' })
  await expect(store.catalogue.patch(id, { kind: 'iso' }, 'test')).rejects.toMatchObject({ code: 'format-mismatch' })
  expect(store.catalogue.need(id).kind).toBe('template')
})
