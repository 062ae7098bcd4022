// The options of image list and image edit, and the orders over several stores.

import { describe, expect, test } from 'bun:test'
import { parseEdit, parseLabels } from '../../../../bot/commands/image/edit-options.ts'
import { compareImages, parseFilter, parseSort } from '../../../../bot/commands/image/list/list-options.ts'
import { memoryImage } from '../../../support/memory/memory-image.ts'

describe('image list', () => {
  test('filters as the agent does', () => {
    expect(parseFilter({ kind: 'template', mediaGroup: 'base', label: 'env=test', memory: '4GB', cpus: '2', cloudInit: 'true', sort: 'name' })).toEqual({
      kind: 'template',
      mediaGroup: 'base',
      label: 'env=test',
      memory: 4_000_000_000,
      cpus: 2,
      cloudInit: 'true',
    })
    expect(parseFilter({ createdAfter: '2026-11-01', createdBefore: '2026-11-02T12:00:00Z' })).toEqual({
      createdAfter: '2026-11-01T00:00:00Z',
      createdBefore: '2026-11-02T12:00:00Z',
    })
    expect(parseFilter({})).toEqual({})
  })

  test.each([
    [{ status: 'availabel' }, 'status=availabel is not valid.'],
    [{ kind: 'tempalte' }, 'kind=tempalte is not valid.'],
    [{ memory: 'lots' }, 'memory=lots is not a size.'],
    [{ label: 'a b' }, 'label="a b" is not valid: it must be KEY or KEY=VALUE, separated by commas.'],
    [{ cloudInit: 'yes' }, 'cloudInit=yes is not valid.'],
    [{ cpus: '0' }, 'cpus=0 is too small.'],
    [{ createdAfter: 'yesterday' }, 'createdAfter=yesterday is not a time.'],
  ])('%j is refused', (options, detail) => {
    expect(() => parseFilter(options)).toThrow(detail)
  })

  test('sorts over several stores', () => {
    expect([parseSort(undefined), parseSort('-length')]).toEqual([undefined, '-length'])
    expect(() => parseSort('lenght')).toThrow('sort=lenght is not valid.')
    const small = memoryImage({ length: 1, name: 'B', requirements: null, owner: null })
    const large = memoryImage({ length: 2, name: 'a', requirements: { cpus: 2, memory: null, disk: null }, owner: 'ann' })
    expect([compareImages('length', small, large), compareImages('-length', small, large)]).toEqual([-1, 1])
    expect([compareImages('name', small, large), compareImages('cpus', small, large), compareImages('owner', small, large)]).toEqual([1, -1, -1])
    expect(compareImages('name', small, small)).toBe(0)
  })
})

describe('image edit', () => {
  const image = memoryImage({ requirements: { cpus: 1, memory: 500, disk: null } })

  test('changes one requirement and keeps the others', () => {
    expect(parseEdit({ memory: '2GB' }, image)).toEqual({ requirements: { cpus: 1, memory: 2_000_000_000, disk: null } })
    expect(parseEdit({ cpus: '', disk: '10GB' }, image)).toEqual({ requirements: { cpus: null, memory: 500, disk: 10_000_000_000 } })
    expect(parseEdit({ cpus: '4' }, memoryImage())).toEqual({ requirements: { cpus: 4, memory: null, disk: null } })
  })

  test('sets and removes', () => {
    expect(parseEdit({ os: 'debian-12', owner: '', sourceInstance: 'vm-1', cloudInit: 'true', labels: 'env=test,-team,note=' }, image)).toEqual({
      os: 'debian-12',
      owner: null,
      sourceInstance: 'vm-1',
      cloudInit: true,
      labels: { env: 'test', team: null, note: '' },
    })
    expect(parseLabels('a=b=c')).toEqual({ a: 'b=c' })
  })

  test.each([
    [{}, 'image edit needs something to change.'],
    [{ cpus: 'two' }, 'cpus=two is not a whole number.'],
    [{ cpus: '0' }, 'cpus=0 is too small.'],
    [{ memory: 'two' }, 'memory=two is not a size.'],
    [{ labels: 'env' }, 'labels: "env" is not understood.'],
    [{ labels: 'a b=c' }, 'labels="a b=c" is not valid: it must '],
    [{ kind: 'virtualDisk' }, 'kind=virtualDisk is not valid.'],
    [{ cloudInit: 'maybe' }, 'cloudInit=maybe is not valid.'],
    [{ name: '' }, 'name="" is empty.'],
    [{ owner: 'o'.repeat(256) }, ' is too long.'],
  ])('%j is refused', (options, detail) => {
    expect(() => parseEdit(options, image)).toThrow(detail)
  })
})
