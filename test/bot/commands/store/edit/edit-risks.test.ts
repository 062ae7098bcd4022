// What a change of the settings of a store would break, and the question before it.

import { describe, expect, test } from 'bun:test'
import { risksOf } from '../../../../../bot/commands/store/edit/edit-risks.ts'
import type { StorePatch } from '../../../../../protocol/store.ts'
import { openScriptedFleet, page, storeOf } from '../../scripted-fleet.ts'

const IDLE = { uploads: 0, imports: 0, syncs: 0 }
const BUSY = { uploads: 2, imports: 1, syncs: 1 }

describe('the risks of a change', () => {
  // 600 GB are free.
  const kinds = { accepted: ['iso', 'template'], configured: ['iso'] } as const
  const store = storeOf({ reserve: { bytes: 1e9, configured: 7e11 }, kinds: { accepted: [...kinds.accepted], configured: [...kinds.configured] } })
  const full = 'No space would be left above the reserve: 2 uploads, 1 import, 1 sync in progress may fail.'
  const other = 'Other kinds would be refused: of 1 import, 1 sync in progress, images of other kinds fail that have not begun to store bytes.'

  test.each<[StorePatch, string[]]>([
    [{ reserved: 6e11 }, [full]],
    [{ reserved: null }, [full]],
    [{ reserved: 599_999_999_999 }, []],
    [{ imagesEnabled: false }, ['New images would be refused: of 1 import in progress, those fail that have not begun to store bytes.']],
    [{ imagesEnabled: true }, []],
    [{ kinds: ['iso'] }, [other]],
    [{ kinds: null }, [other]],
    [{ kinds: ['template', 'iso', 'base'] }, []],
    [{ kinds: [] }, []],
    [{ transfer: { uploadConcurrency: 1 } }, []],
    [{ retention: { deletion: 'immediate' } }, []],
    [{ reserved: 7e11, kinds: ['base'] }, [full, other]],
  ])('%j', (patch, risks) => {
    expect(risksOf(patch, { store, ...BUSY })).toEqual(risks)
    expect(risksOf(patch, { store, ...IDLE })).toEqual([])
  })

  test('uploads in progress break only by the reserve', () => {
    const uploading = { ...IDLE, uploads: 1 }
    expect(risksOf({ reserved: 1e12 }, { store, ...uploading })).toEqual(['No space would be left above the reserve: 1 upload in progress may fail.'])
    expect(risksOf({ kinds: ['iso'], imagesEnabled: false }, { store, ...uploading })).toEqual([])
  })

  test('a store that takes all kinds would take fewer', () => {
    expect(risksOf({ kinds: ['iso'] }, { store: storeOf(), ...BUSY })).toEqual([other])
  })
})

describe('store edit', () => {
  const task = (kind: string) => ({
    ...{ id: 'tsk_1', kind, state: 'running', progress: { done: 0, total: null, unit: 'bytes', rate: 0, etaSeconds: null }, subject: 'img_1', createdBy: 'x' },
    ...{ createdAt: '2026-01-01T00:00:00.000Z', endedAt: null },
  })
  const open = (patched: unknown[]) =>
    openScriptedFleet({
      'edge-a': {
        'GET /tasks': ({ query }: { query: Record<string, string> }) =>
          page(query['kind'] === 'import' && query['state'] === 'running' ? [task('import')] : []),
        'PATCH /store': ({ body }: { body: unknown }) => {
          patched.push(body)
          return storeOf()
        },
      },
    })

  test('asks before a change that breaks an import, changes nothing, and does as it is told', async () => {
    const patched: unknown[] = []
    using fleet = open(patched)
    const asked = await fleet.run('store edit edge-a reserved=1TB description="two words"')
    expect([asked.outcome, asked.text]).toEqual(['refused', 'No space would be left above the reserve: 1 import in progress may fail. Nothing was changed.'])
    expect(asked.actions[0]).toEqual({
      label: 'Change anyway',
      command: 'store edit edge-a reserved=1TB description="two words" --anyway',
      role: 'admin',
      style: 'danger',
    })
    expect(patched).toEqual([])
    expect((await fleet.run(asked.actions[0]?.command ?? '')).outcome).toBe('done')
    expect(patched).toEqual([{ description: 'two words', reserved: 1e12 }])
  })

  test('does not ask about a change that breaks nothing, and shows no token', async () => {
    const patched: unknown[] = []
    using fleet = open(patched)
    expect((await fleet.run('store edit edge-a upload-concurrency=4 reserved=50GB')).outcome).toBe('done')
    expect(patched).toEqual([{ reserved: 5e10, transfer: { uploadConcurrency: 4 } }])
    const secret = await fleet.run('store edit edge-a token=hidden-word reserved=1TB')
    expect(JSON.stringify(secret)).not.toContain('hidden-word')
    expect(patched.length).toBe(1)
  })
})
