// Uploads a file with tus-js-client, the most common client, in Node, its most common runtime.
// One argument, JSON: { endpoint, token, file, chunkSize, metadata }. Prints one JSON line for each response of the server and
// one at the end. Node runs it, so it is not TypeScript.

import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { Upload } from 'tus-js-client'

const { endpoint, token, file, chunkSize, metadata } = JSON.parse(process.argv[2])
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)

const upload = new Upload(createReadStream(file), {
  endpoint,
  uploadSize: (await stat(file)).size,
  // Without a limit the client sends the rest in one request.
  ...(chunkSize === undefined ? {} : { chunkSize }),
  metadata,
  headers: { Authorization: `Bearer ${token}` },
  // Links in tests come back at once, so longer delays would only slow down the test.
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
