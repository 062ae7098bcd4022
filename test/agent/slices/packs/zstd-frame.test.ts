// The structure of a zstd frame: its declared length is the one that is expected, whatever follows it.

import { expect, test } from 'bun:test'
import { zstdFrameFault } from '../../../../agent/slices/packs/zstd-frame.ts'
import { zstdFrame } from '../../../support/images/zstd-frames.ts'

const LENGTH = 32 * 1024
const BLOCKS = [{ kind: 'zeros', length: LENGTH }] as const

test('a frame that declares another length than the slice is refused before it is decompressed', () => {
  expect(zstdFrameFault(zstdFrame({ contentSize: LENGTH, blocks: BLOCKS }), LENGTH)).toBeUndefined()
  for (const contentSize of [0, 1, LENGTH - 1, LENGTH + 1, 2 ** 32 - 1, 2 ** 40])
    expect(zstdFrameFault(zstdFrame({ contentSize, sizeBytes: 8, blocks: BLOCKS }), LENGTH)).toBe(`it announces ${contentSize} bytes for a slice of ${LENGTH}`)
})
