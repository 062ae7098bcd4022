// Which announced URLs are in a network, and which own address is nearest to another one.

import { describe, expect, test } from 'bun:test'
import { announcedWithin, isWithin, nearestAddress } from '../../../../agent/sync/networks/announcement.ts'

const networks = {
  listen: { urls: ['http://10.1.0.5:8420', 'http://10.9.0.5:8420'] },
  data: { cidr: '10.8.0.0/16', urls: ['https://10.8.0.5:8420', 'https://10.9.0.6:8420'] },
  sync: { cidr: '10.9.0.0/16', urls: ['http://10.9.0.5:8420', 'https://[fd00::5]:8420'] },
}
const hrefs = (cidr: string, scheme: string): string[] => announcedWithin(networks, cidr, scheme).map(({ origin }) => origin)

describe('announced URLs', () => {
  test('in a network are listed once, those of the sync network first, then those of the data network', () => {
    expect(hrefs('10.9.0.0/16', 'http:')).toEqual(['http://10.9.0.5:8420', 'https://10.9.0.6:8420'])
    expect(hrefs('10.0.0.0/8', 'http:')).toEqual(['http://10.9.0.5:8420', 'https://10.8.0.5:8420', 'https://10.9.0.6:8420', 'http://10.1.0.5:8420'])
    expect(hrefs('fd00::/8', 'http:')).toEqual(['https://[fd00::5]:8420'])
    expect(hrefs('192.0.2.0/24', 'http:')).toEqual([])
  })

  test('without encryption are omitted for a source with https', () => {
    expect(hrefs('10.9.0.0/16', 'https:')).toEqual(['https://10.9.0.6:8420'])
  })

  test('with names or without sense are omitted', () => {
    const odd = { ...networks, listen: { urls: [] }, data: { cidr: null, urls: [] }, sync: { cidr: null, urls: ['http://hub.example', 'no url', ''] } }
    expect(announcedWithin(odd, '0.0.0.0/0', 'http:')).toEqual([])
  })
})

test('an address is in a network, or the network is not valid', () => {
  expect([isWithin('10.9.0.5', '10.9.0.0/16'), isWithin('10.10.0.5', '10.9.0.0/16'), isWithin('fd00::5', '10.9.0.0/16')]).toEqual([true, false, false])
  expect([isWithin('10.9.0.5', 'nonsense'), isWithin('10.9.0.5', '10.9.0.0/33'), isWithin('name', '10.9.0.0/16')]).toEqual([false, false, false])
})

test('the nearest own address shares the most leading bits and has the same family', () => {
  expect(nearestAddress(['10.1.0.9', '10.9.0.9', '10.9.128.9'], '10.9.0.5')).toBe('10.9.0.9')
  expect(nearestAddress(['10.1.0.9', '172.16.0.9'], '192.168.0.5')).toBe('172.16.0.9')
  expect(nearestAddress(['10.1.0.9', 'fd00::9', 'fe00::9'], 'fd00::5')).toBe('fd00::9')
  expect(nearestAddress(['10.1.0.9'], 'fd00::5')).toBeUndefined()
  expect(nearestAddress([], '10.0.0.1')).toBeUndefined()
})
