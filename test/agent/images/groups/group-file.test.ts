// The file of the media groups: what is encoded is decoded, anything else is damage, and its bounds.

import { describe, expect, test } from 'bun:test'
import { decodeGroupFile, encodeGroupFile, GROUP_FILE_BYTES_MAX } from '../../../../agent/images/groups/group-file.ts'
import type { GroupSettings } from '../../../../agent/images/groups/group-file.ts'

const SETTINGS: GroupSettings = { records: [{ name: 'a', description: 'x', visible: false, formerNames: ['b'] }], othersHidden: true }
const TEXT =
  '{"format":1,"digest":"sha256:DIGEST","groups":{"records":[{"name":"a","description":"x","visible":false,"formerNames":["b"]}],"othersHidden":true}}\n'
const DIGEST = Bun.SHA256.hash('{"records":[{"name":"a","description":"x","visible":false,"formerNames":["b"]}],"othersHidden":true}', 'hex')
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('the file of the media groups', () => {
  test('is encoded as documented, and decoded', async () => {
    expect(new TextDecoder().decode(await encodeGroupFile(SETTINGS))).toBe(TEXT.replace('DIGEST', DIGEST))
    expect(await decodeGroupFile(bytes(TEXT.replace('DIGEST', DIGEST)))).toEqual(SETTINGS)
  })

  test.each([
    [
      'another digest',
      TEXT.replace(
        'DIGEST',
        DIGEST.replace(/^./, (digit) => (digit === '0' ? '1' : '0')),
      ),
    ],
    ['another setting', TEXT.replace('DIGEST', DIGEST).replace('"visible":false', '"visible":true')],
    ['another format', TEXT.replace('DIGEST', DIGEST).replace('"format":1', '"format":2')],
    ['one more member', TEXT.replace('DIGEST', DIGEST).replace('"format":1', '"format":1,"more":1')],
    ['a torn end', TEXT.replace('DIGEST', DIGEST).slice(0, -3)],
    ['no bytes', ''],
  ])('with %s is damaged', async (_what, text) => {
    expect(await decodeGroupFile(bytes(text))).toBeUndefined()
  })

  test('with bytes that are no text is damaged, even with the digest of what they are read as', async () => {
    const groups = '{"records":[{"name":"a","description":"\ufffd","visible":false,"formerNames":[]}],"othersHidden":true}'
    const whole = Buffer.from(`{"format":1,"digest":"sha256:${Bun.SHA256.hash(groups, 'hex')}","groups":${groups}}\n`)
    expect(await decodeGroupFile(whole)).toMatchObject({ othersHidden: true })
    const at = whole.indexOf('\ufffd')
    expect(await decodeGroupFile(Buffer.concat([whole.subarray(0, at), Buffer.of(0xff), whole.subarray(at + 3)]))).toBeUndefined()
  })

  test('has 16 former names of a group and 1,000 groups at most', async () => {
    const withNames = (count: number): GroupSettings => ({
      records: [{ name: 'a', description: '', visible: true, formerNames: Array.from({ length: count }, (_, i) => `old ${i}`) }],
      othersHidden: false,
    })
    expect(await decodeGroupFile(await encodeGroupFile(withNames(16)))).toEqual(withNames(16))
    await expect(encodeGroupFile(withNames(17))).rejects.toThrow()
    const withGroups = (count: number): GroupSettings => ({
      records: Array.from({ length: count }, (_, i) => ({ name: `g${i}`, description: '', visible: true, formerNames: [] })),
      othersHidden: false,
    })
    expect((await decodeGroupFile(await encodeGroupFile(withGroups(1000))))?.records).toHaveLength(1000)
    await expect(encodeGroupFile(withGroups(1001))).rejects.toThrow()
    expect(GROUP_FILE_BYTES_MAX).toBe(2_097_152)
  })
})
