// The map of clusters: two structures never use one cluster, compressed data shares clusters, and long files are recorded window by window.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { createClusterMap } from '../../../../agent/images/formats/qcow2/cluster-map.ts'
import type { ClusterMap } from '../../../../agent/images/formats/qcow2/cluster-map.ts'
import { propertyOptions } from '../../../support/properties.ts'

const WINDOW = 32 * 1024 * 1024

function mapOf(clusters: number): ClusterMap {
  const map = createClusterMap(clusters)
  if (!map) throw new Error('the file has too many clusters')
  map.begin(0)
  return map
}

describe('a map of clusters', () => {
  test('agrees with a list of users, in any order', () => {
    const steps = fc.array(fc.record({ cluster: fc.nat(30), isShared: fc.boolean() }), { maxLength: 60 })
    fc.assert(
      fc.property(steps, (all) => {
        const map = mapOf(31)
        const users = new Map<number, 'claimed' | 'shared'>()
        for (const { cluster, isShared } of all) {
          const user = users.get(cluster)
          const isFree = isShared ? user !== 'claimed' : user === undefined
          expect(isShared ? map.share(cluster) : map.claim(cluster)).toBe(isFree)
          if (user === undefined) users.set(cluster, isShared ? 'shared' : 'claimed')
          // A conflict ends the inspection, so what the map holds afterwards does not matter.
          if (!isFree) return
        }
        for (let cluster = 0; cluster < 31; cluster++) expect(map.isUsed(cluster)).toBe(users.has(cluster))
        for (let byte = 0; byte < 4; byte++) {
          const isAny = [...users.keys()].some((cluster) => cluster >> 3 === byte)
          expect(map.isAnyUsed(byte * 8, byte * 8 + 8)).toBe(isAny)
        }
      }),
      propertyOptions(200),
    )
  })

  test('records only the clusters of its window', () => {
    const map = mapOf(WINDOW + 100)
    expect(map.windows).toBe(2)
    expect(map.range()).toEqual([0, WINDOW])
    expect([map.claim(5), map.claim(WINDOW + 5), map.claim(WINDOW + 5), map.claim(5)]).toEqual([true, true, true, false])
    map.begin(1)
    expect(map.range()).toEqual([WINDOW, WINDOW + 100])
    expect(map.isUsed(WINDOW + 5)).toBe(false)
    expect([map.claim(5), map.claim(5), map.claim(WINDOW + 5), map.claim(WINDOW + 5)]).toEqual([true, true, true, false])
    expect([map.share(WINDOW + 6), map.share(WINDOW + 6), map.claim(WINDOW + 6)]).toEqual([true, true, false])
    expect(map.isAnyUsed(WINDOW, WINDOW + 8)).toBe(true)
    expect(map.isAnyUsed(WINDOW + 8, WINDOW + 16)).toBe(false)
  })

  test.each([1, 8, 9, 72, 1000])('of %i clusters has room for the last one', (clusters) => {
    const map = mapOf(clusters)
    expect([map.range(), map.claim(clusters - 1), map.isUsed(clusters - 1), map.claim(clusters - 1)]).toEqual([[0, clusters], true, true, false])
  })

  test('has at most 32 windows', () => {
    expect(createClusterMap(32 * WINDOW)?.windows).toBe(32)
    expect(createClusterMap(32 * WINDOW + 1)).toBeUndefined()
  })
})
