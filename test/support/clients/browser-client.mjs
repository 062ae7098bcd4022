// Runs in a browser: fetches its orders from the page's server, sends a file with tus-js-client and with Uppy as each order
// says, and reports the results. Bundled by test/support/clients/browser.ts, where orders and reports are described. No TypeScript:
// Uppy's types bring those of the DOM into the whole project, which are not Bun's.

import Uppy from '@uppy/core'
import UppyTus from '@uppy/tus'
import { Upload } from 'tus-js-client'
import { roundTrip } from './tus-round-trip.mjs'

async function sendWithUppy({ endpoint, headers, options }, content) {
  const uppy = new Uppy({ autoProceed: false })
  uppy.use(UppyTus, { endpoint, headers, retryDelays: [100, 100], ...options })
  uppy.addFile({ name: 'image.raw', type: 'application/octet-stream', data: content })
  const result = await uppy.upload()
  const [file] = result.successful ?? []
  const reason = (result.failed ?? []).map(({ error }) => String(error)).join('; ')
  return { outcome: file ? 'done' : 'failed', url: file?.uploadURL ?? null, reason, resumed: 0 }
}

/** Sends with tus-js-client; resumes an earlier upload of the same file if there is one. */
async function sendWithTus(order, content, abortAfter) {
  const file = new File([content], 'image.raw', { lastModified: 1 })
  const ended = Promise.withResolvers()
  const upload = new Upload(file, {
    endpoint: order.endpoint,
    headers: order.headers,
    retryDelays: [100, 100],
    metadata: { filename: 'image.raw' },
    removeFingerprintOnSuccess: true,
    ...order.options,
    onError: (error) => ended.resolve({ outcome: 'failed', reason: String(error) }),
    onSuccess: () => ended.resolve({ outcome: 'done', reason: '' }),
    onChunkComplete(_size, accepted) {
      if (abortAfter !== undefined && accepted >= abortAfter) void upload.abort().then(() => ended.resolve({ outcome: 'failed', reason: 'aborted' }))
    },
  })
  const [previous] = await upload.findPreviousUploads()
  if (previous) upload.resumeFromPreviousUpload(previous)
  upload.start()
  return { ...(await ended.promise), url: upload.url, resumed: previous ? 1 : 0 }
}

async function sendAndReadBack({ endpoint, headers, options }, content) {
  const input = options.uploadLengthDeferred ? content.stream().getReader() : content
  const expected = new Uint8Array(await content.arrayBuffer())
  const faults = await roundTrip({ endpoint, headers, options, input, expected, terminates: options.uploadDataDuringCreation !== true })
  return { outcome: faults.length === 0 ? 'done' : 'failed', url: null, reason: faults.join('; '), resumed: 0 }
}

async function obey(order, content) {
  if (order.client === 'round trip') return sendAndReadBack(order, content)
  if (order.client === 'uppy') return sendWithUppy(order, content)
  if (order.abortAfter !== undefined) await sendWithTus(order, content, order.abortAfter)
  return sendWithTus(order, content, undefined)
}

const orders = await (await fetch('/orders')).json()
const content = await (await fetch('/content')).blob()
const reports = []
for (const order of orders) {
  reports.push(await obey(order, content).catch((error) => ({ outcome: 'failed', url: null, reason: String(error), resumed: 0 })))
}
await fetch('/reports', { method: 'POST', body: JSON.stringify(reports) })
