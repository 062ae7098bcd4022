// Reads a source by ranges with several connections at once, and yields its bytes in order.

import { createInOrder } from '../../contract/in-order.ts'

/** Bytes of one range, and ranges that are read or wait at the same time for each connection: together they bound the memory of an import. */
export const RANGE_BYTES = 2 * 1024 * 1024
const RANGES_PER_LANE = 2

/** Reads the bytes [start, end) with one connection, which carries one range after the other. */
export interface Lane extends Disposable {
  read(start: number, end: number): Promise<readonly Uint8Array[]>
}

export interface RangesToRead {
  readonly start: number
  readonly end: number
  readonly lanes: readonly Lane[]
}

/** Yields the bytes [start, end). At most `RANGES_PER_LANE × RANGE_BYTES` for each lane are in memory. Disposes the lanes. */
export async function* readRanges({ start, end, lanes }: RangesToRead): AsyncGenerator<Uint8Array> {
  using stack = new DisposableStack()
  for (const lane of lanes) stack.use(lane)
  const queues = lanes.map((lane) => ({ lane, inOrder: createInOrder() }))
  const ranges: Promise<readonly Uint8Array[]>[] = []
  let next = start
  let count = 0

  const startRange = (): void => {
    const queue = queues[count++ % queues.length]
    if (!queue || next >= end) return
    const [from, to] = [next, Math.min(next + RANGE_BYTES, end)]
    next = to
    const range = queue.inOrder.run(() => queue.lane.read(from, to))
    // A range that fails is reported when its turn comes.
    range.catch(() => {})
    ranges.push(range)
  }
  for (let at = 0; at < lanes.length * RANGES_PER_LANE; at++) startRange()
  for (let range = ranges.shift(); range; range = ranges.shift()) {
    const pieces = await range
    yield* pieces
    startRange()
  }
}
