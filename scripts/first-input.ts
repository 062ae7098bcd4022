// Detects whether standard input has any bytes. A service has none, or /dev/null, and must not exit as a console does at the end of input.

import { Readable } from 'node:stream'

/** Waits for the first byte and returns the input, including that byte; undefined if the input ends before. */
export function waitForInput(input: NodeJS.ReadStream): Promise<NodeJS.ReadableStream | undefined> {
  return new Promise((resolve) => {
    const settle = (first: Buffer | undefined): void => {
      input.off('data', onData)
      input.off('end', onEnd)
      input.off('error', onEnd)
      input.pause()
      resolve(first && Readable.from(withFirst(first, input)))
    }
    const onData = (piece: Buffer): void => settle(piece)
    const onEnd = (): void => settle(undefined)
    input.on('data', onData)
    input.on('end', onEnd)
    input.on('error', onEnd)
  })
}

async function* withFirst(first: Buffer, rest: NodeJS.ReadStream): AsyncGenerator<Buffer> {
  yield first
  for await (const piece of rest) yield Buffer.from(piece)
}
