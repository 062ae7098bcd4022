// The script of an upload page: Uppy's Dashboard, which sends files to the agent where the browser reaches it, else through the bot. No TypeScript: the types of
// the DOM are not those of Bun.

import Uppy from '@uppy/core'
import Dashboard from '@uppy/dashboard'
import Tus from '@uppy/tus'

const TUS = { 'Tus-Resumable': '1.0.0' }
/** How long the browser may take to reach the agent before the bot is used, in milliseconds. */
const PROBE_MS = 3000
/** Pauses before a request is repeated, in milliseconds; bytes that arrive start them again. */
const RETRY_DELAYS = [0, 500, 1000, 2000, 4000, 8000, 15000, 30000, 60000, 60000, 60000]
/** Interval at which the page asks what became of an upload, in milliseconds. */
const FOLLOW_MS = 1500
/** Where the browser keeps which file belongs to which upload. */
const KEPT_PREFIX = 'slipway-upload '

const root = document.getElementById('uploader')
const sentence = document.getElementById('sentence')
const found = document.getElementById('found')

for (const time of document.querySelectorAll('time')) {
  time.title = time.textContent
  time.textContent = new Date(time.dateTime).toLocaleString()
}

/** A refusal whose text is for the person. */
class Refused extends Error {}

async function readState(path) {
  const response = await fetch(path, { headers: { Accept: 'application/json' } })
  if (!response.ok) throw await refusalOf(response)
  return response.json()
}

async function refusalOf(response) {
  const problem = await response.json().catch(() => undefined)
  return new Refused(problem?.detail ? `${problem.detail} ${problem.action}` : `The server answered ${response.status}.`)
}

function say(text) {
  if (sentence.textContent !== text) sentence.textContent = text
}

function showFound(rows) {
  const list = document.createElement('dl')
  for (const [label, value] of rows) {
    const row = list.appendChild(document.createElement('div'))
    row.appendChild(document.createElement('dt')).textContent = label
    row.appendChild(document.createElement('dd')).textContent = value
  }
  found.replaceChildren(list)
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Uppy's id of a file is made of its name, type, length and time of change. */
const keyOf = (file) => `${KEPT_PREFIX}${root.dataset.uploads} ${file.id}`

/** Whether the browser reaches an upload at the agent: it needs the network, and the agent has to allow pages of this origin. */
async function isReached(url) {
  try {
    const response = await fetch(url, { method: 'HEAD', headers: TUS, signal: AbortSignal.timeout(PROBE_MS) })
    return response.ok && response.headers.has('Upload-Offset')
  } catch {
    return false
  }
}

function encode(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)))
}

/** Creates an upload for a file, and returns its path at the bot. */
async function create(file) {
  const metadata = `filename ${encode(file.name)}`
  const headers = { ...TUS, 'Upload-Length': String(file.size), 'Upload-Metadata': metadata }
  const response = await fetch(root.dataset.uploads, { method: 'POST', headers })
  if (response.status !== 201) throw await refusalOf(response)
  return new URL(response.headers.get('Location'), location.href).pathname
}

/** Returns the state of the link of an upload, by the path of the upload. */
const stateOf = (path) => readState(path.replace(/\/files\/[^/]+$/, '/state'))

/** Returns the state of the link with an upload for this file, which began earlier or begins now. */
async function uploadFor(file) {
  const kept = localStorage.getItem(keyOf(file))
  if (kept !== null) {
    const state = await stateOf(kept).catch(() => undefined)
    if (state?.upload) return state
    // In doubt the entry stays: the bot may be gone for a moment.
    if (state) localStorage.removeItem(keyOf(file))
    else if (root.dataset.state) return readState(root.dataset.state)
  }
  if (root.dataset.state) {
    const state = await readState(root.dataset.state)
    if (state.state !== 'open' && !state.upload) throw new Refused(`${state.sentence} ${state.action}`)
    // Begun in another browser, or the page was closed before it learned the address: the same file continues it.
    if (state.upload) {
      const { length, filename } = state.upload
      if ((length !== null && length !== file.size) || (filename !== null && filename !== file.name))
        throw new Refused(`The upload began with another file${filename === null ? '' : ` (${filename})`}. Choose that file to continue it.`)
      return state
    }
  }
  return stateOf(await create(file))
}

/** Chooses the way of each file before Uppy sends it. */
async function prepare(uppy, ids) {
  for (const id of ids) {
    const file = uppy.getFile(id)
    try {
      const { upload, state: linkState, sentence: why, action } = await uploadFor(file)
      if (!upload) {
        // An empty file is complete when its upload is created.
        if (linkState === 'completed') continue
        throw new Refused(`${why} ${action}`)
      }
      localStorage.setItem(keyOf(file), upload.path)
      const isDirect = new URL(upload.direct, location.href).origin !== location.origin && (await isReached(upload.direct))
      root.dataset.way = isDirect ? 'direct' : 'gateway'
      uppy.setFileState(id, { slipwayPath: upload.path, tus: { uploadUrl: isDirect ? upload.direct : upload.path } })
    } catch (error) {
      const text = error instanceof Refused ? error.message : 'The bot cannot be reached. Check the connection, then press Retry.'
      say(text)
      uppy.emit('upload-error', file, new Error(text))
      throw new Error(text, { cause: error })
    }
  }
}

/** Follows a finished upload to what the store found. */
async function follow(path) {
  for (;;) {
    const state = await stateOf(path).catch(() => undefined)
    if (state) {
      say(`${state.sentence} ${state.action}`)
      if (state.found.length > 0) showFound(state.found)
      if (state.isFinal) return
    }
    await pause(FOLLOW_MS)
  }
}

function start() {
  const filesMax = root.dataset.filesMax === undefined ? null : Number(root.dataset.filesMax)
  const lengthMax = root.dataset.lengthMax === undefined ? null : Number(root.dataset.lengthMax)
  const uppy = new Uppy({ autoProceed: false, restrictions: { maxNumberOfFiles: filesMax, maxFileSize: lengthMax } })
  uppy.use(Dashboard, {
    inline: true,
    target: root,
    width: '100%',
    height: 340,
    theme: 'auto',
    proudlyDisplayPoweredByUppy: false,
    disableThumbnailGenerator: true,
    fileManagerSelectionType: 'files',
  })
  uppy.use(Tus, {
    retryDelays: RETRY_DELAYS,
    limit: 2,
    storeFingerprintForResuming: false,
    allowedMetaFields: [],
    // A file that another page sends too is continued by the one that asks last.
    onShouldRetry: (error, _attempt, _options, next) => (error?.originalResponse?.getStatus() === 429 ? true : next(error)),
  })
  uppy.addPreProcessor((ids) => prepare(uppy, ids))
  uppy.on('upload-success', (file) => {
    localStorage.removeItem(keyOf(file))
    if (file.slipwayPath) void follow(file.slipwayPath)
  })
  uppy.on('upload-progress', () => say('The file is being sent. You can close this page and continue later.'))
  uppy.on('upload-error', (_file, error) => say(`${error.message} What has arrived is kept.`))
  window.addEventListener('offline', () => say('The browser is offline. What has arrived is kept, and the upload continues when the connection is back.'))
  // For tests, and for whoever opens the developer tools.
  root.dataset.ready = 'true'
}

if (root) start()
