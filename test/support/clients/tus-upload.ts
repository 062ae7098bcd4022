// Runs tus-js-client in a Node process of its own and records its reports.

import { join } from 'node:path'
import { TEST_ADMIN_TOKEN } from '../agents/agent-process.ts'

/** A response of the server as the client received it; `offset` is null for a response without one. */
export interface TusAnswer {
  readonly method: string
  readonly status: number
  readonly offset: number | null
  readonly contentLocation: string | null
}

export interface TusUpload extends AsyncDisposable {
  /** All responses so far. */
  readonly answers: readonly TusAnswer[]
  readonly hasEnded: boolean
  /** Resolves with the path of the image; throws with the client's message when it gave up. */
  image(): Promise<string>
}

export interface TusUploadOptions {
  /** Base URL of the agent, or of a proxy in front of it. */
  readonly url: string
  readonly file: string
  readonly metadata: Readonly<Record<string, string>>
  /** Bytes of one PATCH; without it a PATCH sends the whole rest. */
  readonly chunkSize?: number
}

/** Starts an upload. Disposing kills the client. */
export function startTusUpload({ url, file, metadata, chunkSize }: TusUploadOptions): TusUpload {
  const order = { endpoint: `${url}/v1/uploads`, token: TEST_ADMIN_TOKEN, file, metadata, chunkSize }
  const child = Bun.spawn(['node', join(import.meta.dir, 'tus-upload.mjs'), JSON.stringify(order)], { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' })
  const answers: TusAnswer[] = []
  let failure = 'the client exited without a message'
  let isDone = false
  const hear = (line: string): void => {
    if (line === '') return
    const told = JSON.parse(line) as { kind: string; reason?: string } & TusAnswer
    if (told.kind === 'answer') answers.push(told)
    else if (told.kind === 'done') isDone = true
    else failure = told.reason ?? failure
  }
  const listening = (async () => {
    let rest = ''
    for await (const piece of child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + piece).split('\n')
      rest = lines.pop() ?? ''
      lines.forEach(hear)
    }
  })()
  const complaints = new Response(child.stderr).text()
  return {
    answers,
    get hasEnded() {
      return child.exitCode !== null || child.signalCode !== null
    },
    async image() {
      await child.exited
      await listening
      if (!isDone) throw new Error(`${failure}\n${await complaints}`)
      const location = answers.findLast((answer) => answer.contentLocation !== null)?.contentLocation
      if (typeof location !== 'string') throw new Error('no answer named the image')
      return location
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await child.exited
    },
  }
}
