// Whether standard input has anything to say: a service has none, or /dev/null, and is no console that has ended.

import { Readable } from 'node:stream'

/** The input with everything it has still to come, or undefined when it ended before its first byte. */
export function inputWithWords(input: NodeJS.ReadStream): Promise<NodeJS.ReadableStream | undefined> {
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
