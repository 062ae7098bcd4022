// Evidence of an agent: what is in the archive, and parts that cannot be read.

import { describe, expect, test } from 'bun:test'
import { createEvidence } from '../../../../agent/health/evidence/evidence.ts'
import type { EvidencePart } from '../../../../protocol/evidence.ts'
import type { NewEvent } from '../../../../agent/contract/work.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'

const part = (name: string, read: EvidencePart['read']): EvidencePart => ({ name, about: `about ${name}`, bytesMax: 100, read })

function openEvidence(parts: readonly EvidencePart[], store = 'edge-a') {
  const clock = createManualClock()
  const events: NewEvent[] = []
  const evidence = createEvidence({ clock, log: createMemoryLog(), emit: (event) => void events.push(event), store, parts, secrets: ['hunter2'] })
  return { clock, events, evidence }
}

/** The files of an archive in their order. */
async function filesOf(bytes: Uint8Array<ArrayBuffer>): Promise<Map<string, string>> {
  const files = await new Bun.Archive(bytes).files()
  return new Map(await Promise.all([...files].map(async ([name, file]) => [name, await file.text()] as const)))
}

describe('evidence', () => {
  test('is an archive with README.txt first, without secrets, and an event', async () => {
    const { evidence, events } = openEvidence([part('a.txt', () => ['password hunter2', 'b']), part('b.json', () => Promise.resolve(['{}']))])
    const { name, bytes } = await evidence.collect('ann')
    expect(name).toMatch(/^slipway-evidence-edge-a-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z\.tar\.gz$/)
    const files = await filesOf(bytes)
    expect([...files.keys()].toSorted()).toEqual(['slipway-evidence-edge-a/README.txt', 'slipway-evidence-edge-a/a.txt', 'slipway-evidence-edge-a/b.json'])
    expect(files.get('slipway-evidence-edge-a/a.txt')).toBe('password ***\nb\n')
    expect(files.get('slipway-evidence-edge-a/README.txt')).toStartWith('Evidence of the store edge-a\nMade by its agent at ')
    expect(files.get('slipway-evidence-edge-a/README.txt')).toContain('a.txt   about a.txt\n')
    expect(events).toEqual([{ type: 'store.evidence', severity: 'info', subject: 'edge-a', message: 'ann collected the evidence of the store.', actor: 'ann' }])
    const listing = Bun.spawnSync(['tar', 'tz'], { stdin: bytes }).stdout.toString().split('\n')
    expect(listing[0]).toBe('slipway-evidence-edge-a/README.txt')
  })

  test('is made without a part that fails or hangs, and does not read that part again meanwhile', async () => {
    const gate = Promise.withResolvers<string[]>()
    let reads = 0
    const hung = part('hung.txt', () => {
      reads++
      return gate.promise
    })
    const broken = part('broken.txt', () => {
      throw Object.assign(new Error('no'), { code: 'EIO' })
    })
    const { clock, evidence } = openEvidence([hung, broken, part('well.txt', () => ['well'])])
    const collect = async (): Promise<Map<string, string>> => {
      const made = evidence.collect('ann')
      let isDone = false
      void made.finally(() => (isDone = true))
      while (!isDone) {
        clock.advance(1000)
        await Bun.sleep(1)
      }
      return filesOf((await made).bytes)
    }
    const first = await collect()
    expect(first.get('slipway-evidence-edge-a/README.txt')).toContain('hung.txt    missing: it could not be read within 3 s')
    expect(first.get('slipway-evidence-edge-a/README.txt')).toContain('broken.txt  missing: EIO')
    expect(first.get('slipway-evidence-edge-a/well.txt')).toBe('well\n')
    expect((await collect()).get('slipway-evidence-edge-a/README.txt')).toContain('hung.txt    missing: an earlier read of it has not ended')
    expect(reads).toBe(1)
    gate.resolve(['back'])
    await gate.promise
    await Bun.sleep(1)
    expect((await collect()).get('slipway-evidence-edge-a/hung.txt')).toBe('back\n')
  })

  test('is made once at a time', async () => {
    const gate = Promise.withResolvers<string[]>()
    const { evidence } = openEvidence([part('a.txt', () => gate.promise)])
    const first = evidence.collect('ann')
    await expect(evidence.collect('bob')).rejects.toThrow('Evidence of this store is being collected already.')
    gate.resolve([])
    await first
    expect((await evidence.collect('bob')).bytes.byteLength).toBeGreaterThan(100)
  })

  test('of a store with any name has plain paths', async () => {
    const { evidence } = openEvidence([part('a.txt', () => ['x'])], '../../etc/ä b')
    const { name, bytes } = await evidence.collect('ann')
    expect(name).toStartWith('slipway-evidence-.._.._etc_b-')
    expect([...(await filesOf(bytes)).keys()].filter((path) => path.startsWith('/') || path.split('/').includes('..'))).toEqual([])
  })
})
