// tus-js-client with any of its options, in a Node process. Reads its order as JSON from its first argument, and writes one
// line of JSON with the address and every response.

import { createReadStream, statSync } from 'node:fs'
import { Upload } from 'tus-js-client'

const { endpoint, token, file, options, abortAfter, terminates, resumeUrl } = JSON.parse(process.argv[2] ?? '{}')
const answers = []
const end = (outcome) => {
  process.stdout.write(`${JSON.stringify({ ...outcome, url: upload.url, answers })}\n`)
  process.exit(0)
}
const input = createReadStream(file)
const upload = new Upload(input, {
  endpoint,
  headers: { Authorization: `Bearer ${token}` },
  // With parallel uploads the client wants to measure by itself.
  ...(options.parallelUploads === undefined ? { uploadSize: statSync(file).size } : {}),
  retryDelays: [100, 100, 100],
  ...(resumeUrl === undefined ? {} : { uploadUrl: resumeUrl }),
  ...options,
  onAfterResponse(request, response) {
    answers.push({ method: request.getMethod(), status: response.getStatus(), location: response.getHeader('Content-Location') ?? null })
  },
  onProgress(sent) {
    if (abortAfter === undefined || sent < abortAfter) return
    void upload.abort(terminates === true).then(() => end({ outcome: 'aborted' }))
  },
  onError: (error) => end({ outcome: 'failed', reason: String(error) }),
  onSuccess: () => end({ outcome: 'done' }),
})
upload.start()
