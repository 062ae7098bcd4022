// The checks of a server by the end-to-end tests of tus-js-client, for Node and for a browser: the upload is read back at its own
// address, HEAD returns its metadata, and its address is not found after termination. In Node it reads the order as JSON from its first
// argument and writes the faults of each case as JSON.

import { Upload } from 'tus-js-client'

const METADATA = { nonlatin: 'słońce', number: '100', filename: 'large-file.txt', filetype: 'text/plain' }
const PAIRS = ['filename bGFyZ2UtZmlsZS50eHQ=', 'filetype dGV4dC9wbGFpbg==', 'nonlatin c8WCb8WEY2U=', 'number MTAw']

/** Sends an input and checks the result on the server; returns a sentence for each fault. */
export async function roundTrip({ endpoint, headers, input, options, expected, terminates }) {
  const faults = []
  try {
    const upload = await send(input, { endpoint, headers, metadata: METADATA, retryDelays: null, ...options })
    // Read without waiting: the image may still be inspected.
    const content = await fetch(upload.url, { headers })
    if (content.status !== 200) faults.push(`GET: ${content.status} ${await content.text()}`)
    else if (!isEqual(new Uint8Array(await content.arrayBuffer()), expected)) faults.push('GET: other bytes')
    if (terminates) faults.push(...(await headFaults(upload.url, headers, expected.byteLength)), ...(await terminationFaults(upload, headers)))
  } catch (error) {
    faults.push(String(error))
  }
  return faults
}

function send(input, options) {
  return new Promise((resolve, reject) => {
    const upload = new Upload(input, { ...options, onSuccess: () => resolve(upload), onError: reject })
    upload.start()
  })
}

async function headFaults(url, headers, length) {
  const head = await fetch(url, { method: 'HEAD', headers: { ...headers, 'Tus-Resumable': '1.0.0' } })
  const got = { status: head.status, body: await head.text() }
  for (const name of ['Tus-Resumable', 'Upload-Offset', 'Upload-Length']) got[name] = head.headers.get(name)
  got.metadata = (head.headers.get('Upload-Metadata') ?? '').split(',').toSorted()
  const wanted = { status: 200, body: '', 'Tus-Resumable': '1.0.0', 'Upload-Offset': String(length), 'Upload-Length': String(length), metadata: PAIRS }
  return JSON.stringify(got) === JSON.stringify(wanted) ? [] : [`HEAD: ${JSON.stringify(got)}`]
}

async function terminationFaults(upload, headers) {
  await upload.abort(true)
  const { status } = await fetch(upload.url, { headers })
  return status === 404 ? [] : [`GET after termination: ${status}`]
}

function isEqual(a, b) {
  return a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i])
}

async function runInNode({ endpoint, headers, file, chunkSize }) {
  const { readFileSync } = await import('node:fs')
  const { Readable } = await import('node:stream')
  const expected = readFileSync(file)
  const length = expected.byteLength
  const pieces = function* () {
    for (let at = 0; at < length; at += 1_000_000) yield expected.subarray(at, at + 1_000_000)
  }
  const cases = {
    whole: { input: expected, options: {}, terminates: true },
    'with its creation': { input: expected, options: { uploadDataDuringCreation: true }, terminates: false },
    'from a stream of unknown length': { input: Readable.from(pieces()), options: { chunkSize, uploadLengthDeferred: true }, terminates: true },
    'from a stream of known length': { input: Readable.from(pieces()), options: { chunkSize, uploadSize: length }, terminates: true },
  }
  const faults = {}
  for (const [name, one] of Object.entries(cases)) faults[name] = await roundTrip({ endpoint, headers, expected, ...one })
  process.stdout.write(JSON.stringify(faults))
}

if (typeof process !== 'undefined' && process.argv?.[1]?.endsWith('tus-round-trip.mjs')) await runInNode(JSON.parse(process.argv[2] ?? '{}'))
