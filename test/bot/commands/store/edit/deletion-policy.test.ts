// The deletion policy of a store in words, and the options that change it.

import { describe, expect, test } from 'bun:test'
import { deleteLabel, parsePolicy, policyText } from '../../../../../bot/commands/store/edit/deletion-policy.ts'

describe('a button to delete', () => {
  test.each([
    [{ deletion: 'immediate', seconds: 259_200 }, 'Delete for good'],
    [{ deletion: 'delayed', seconds: 259_200 }, 'Delete (recycle bin for 3 d)'],
    [{ deletion: 'never', seconds: 259_200 }, 'Delete (kept in the recycle bin)'],
    [undefined, 'Delete'],
  ] as const)('under %j says %p', (policy, label) => {
    expect(deleteLabel(policy)).toBe(label)
  })
})

test('store show says what deletions do, and what the configuration says if that differs', () => {
  const configured = { deletion: 'delayed', seconds: 259_200 } as const
  expect(policyText(configured)).toBe('delayed: deleted images stay in the recycle bin for 3 d')
  expect(policyText({ ...configured, configured })).toBe('delayed: deleted images stay in the recycle bin for 3 d')
  expect(policyText({ deletion: 'never', seconds: 259_200, configured })).toBe(
    'never: deleted images stay in the recycle bin; the configuration says delayed: deleted images stay in the recycle bin for 3 d',
  )
  expect(policyText({ deletion: 'immediate', seconds: 60 })).toBe('immediate: deleted images are removed for good')
})

describe('store edit', () => {
  test.each([
    [{}, undefined],
    [{ deletion: 'never' }, { deletion: 'never' }],
    [{ retention: '12h' }, { seconds: 43_200 }],
    [
      { deletion: 'configured', retention: 'configured' },
      { deletion: null, seconds: null },
    ],
    [
      { deletion: 'delayed', retention: '0s' },
      { deletion: 'delayed', seconds: 0 },
    ],
  ] as const)('%j changes %j', (options, change) => {
    expect(parsePolicy(options)).toEqual(change)
  })

  test.each([
    [{ deletion: 'delay' }, 'deletion=delay is not understood.'],
    [{ retention: '3' }, 'retention=3 is not a duration of at most ten years.'],
    [{ retention: '3651d' }, 'retention=3651d is not a duration of at most ten years.'],
  ])('%j is refused', (options, detail) => {
    expect(() => parsePolicy(options)).toThrow(detail)
  })
})
