// Uploads a file with tus-js-client, the client that most people use, in Node, the runtime that most of them use it in.
// One argument, JSON: { endpoint, token, file, chunkSize, metadata }. Prints one JSON line for each answer of the server and
// one at the end. Run by node, which takes no TypeScript: hence the file's kind.

import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { Upload } from 'tus-js-client'

const { endpoint, token, file, chunkSize, metadata } = JSON.parse(process.argv[2])
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)

const upload = new Upload(createReadStream(file), {
  endpoint,
  uploadSize: (await stat(file)).size,
  // Without a limit the client sends what is left in one request.
  ...(chunkSize === undefined ? {} : { chunkSize }),
  metadata,
  headers: { Authorization: `Bearer ${token}` },
  // Links here come back at once: waiting longer would only make the test slower.
  retryDelays: Array.from({ length: 1200 }, () => 50),
  onAfterResponse: (request, response) =>
    tell({
      kind: 'answer',
      method: request.getMethod(),
      status: response.getStatus(),
      offset: Number(response.getHeader('Upload-Offset') ?? Number.NaN),
      contentLocation: response.getHeader('Content-Location') ?? null,
    }),
  onSuccess: () => tell({ kind: 'done', url: upload.url }),
  onError: (error) => {
    tell({ kind: 'failed', reason: String(error) })
    process.exitCode = 1
  },
})
upload.start()
