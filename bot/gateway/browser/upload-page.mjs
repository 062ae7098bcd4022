// The script of upload pages: Uppy's Dashboard, which sends files to the agent where the browser reaches it, else through the bot. On the page of a link there is one
// file; on the page of a store each file gets a link of its own. No TypeScript: the types of the DOM are not those of Bun.

import Uppy from '@uppy/core'
import Dashboard from '@uppy/dashboard'
import Tus from '@uppy/tus'
import { keptUploads } from './kept-uploads.mjs'
import { askLink, createUpload, isReached, readState, Refused, statePathOf } from './requests.mjs'
import { isSaid, report, say, showTimes } from './results.mjs'

/** Pauses before a request is repeated, in milliseconds; bytes that arrive start them again. */
const RETRY_DELAYS = [0, 500, 1000, 2000, 4000, 8000, 15000, 30000, 60000, 60000, 60000]
/** Interval at which the page asks what became of an upload, in milliseconds. */
const FOLLOW_MS = 1500
const OFFLINE = 'The browser is offline. What has arrived is kept, and the upload continues when the connection is back.'
const SENDING = 'The file is being sent. You can close this page and continue later: choose the same file again.'
const PAUSED = 'Paused. What has arrived is kept. Press Resume to continue, or close this page and choose the same file again later.'

const root = document.getElementById('uploader')
const { links, token, uploads, state: statePath } = root?.dataset ?? {}
const kept = root && keptUploads(uploads ?? links)

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const stateOf = (path) => readState(statePathOf(path, links && 'store'))

/** Returns the state of a link with an upload for this file, which began earlier or begins now; or of a link whose upload is complete. */
async function uploadFor(file) {
  const path = kept.find(file)
  if (path !== undefined) {
    const state = await stateOf(path).catch(() => undefined)
    if (state?.upload || state?.state === 'completed') return { state, path: state.upload?.path ?? path }
    // The page was closed between the link and its upload.
    if (links && state?.state === 'open') return begin(path, file)
    // In doubt the entry stays: the bot may be gone for a moment.
    if (state) kept.forget(file)
    else if (statePath) return continueLink(file)
    else
      throw new Refused(
        `The bot cannot be reached, or does not know the upload of ${file.name} any more. Press Retry; if it fails again, remove the file and choose it again.`,
      )
  }
  if (links) {
    const asked = await askLink({ links, token }, file)
    kept.keep(file, asked)
    return begin(asked, file)
  }
  return (await continueLink(file)) ?? begin(uploads, file)
}

async function begin(at, file) {
  const path = await createUpload(at, file)
  kept.keep(file, path)
  return { state: await stateOf(path), path }
}

/** Returns the state of the link of this page when its upload has begun, perhaps in another browser; undefined while the link is open. */
async function continueLink(file) {
  const state = await readState(statePath)
  if (state.state === 'open') return undefined
  if (!state.upload) throw new Refused(`${state.sentence} ${state.action}`)
  // Begun in another browser, or the page was closed before it learned the address: the same file continues it.
  const { length, filename } = state.upload
  if ((length !== null && length !== file.size) || (filename !== null && filename !== file.name))
    throw new Refused(`The upload began with another file${filename === null ? '' : ` (${filename})`}. Choose that file to continue it.`)
  return { state, path: state.upload.path }
}

/** Chooses the way of one file before Uppy sends it. */
async function prepareFile(uppy, id) {
  const file = uppy.getFile(id)
  if (!(await kept.take(file))) throw new Refused(`Another tab of this browser sends ${file.name}. Continue there; or close that tab, then press Retry here.`)
  const { path, state } = await uploadFor(file)
  const { upload } = state
  if (!upload) {
    // An empty file is complete when its upload is created; another tab may have completed this one.
    if (state.state !== 'completed') throw new Refused(`${state.sentence} ${state.action}`)
    uppy.setFileState(id, { slipwayPath: path })
    // A file that never started would still be offered for upload, and would become a second image.
    uppy.emit('upload-start', [uppy.getFile(id)])
    uppy.emit('upload-success', uppy.getFile(id), { status: 204, body: {} })
    return
  }
  kept.keep(file, upload.path)
  const isDirect = new URL(upload.direct, location.href).origin !== location.origin && (await isReached(upload.direct))
  root.dataset.way = isDirect ? 'direct' : 'gateway'
  uppy.setFileState(id, { slipwayPath: upload.path, tus: { uploadUrl: isDirect ? upload.direct : upload.path } })
}

/** Prepares files one by one. One that is refused does not stop the others. */
async function prepare(uppy, ids) {
  for (const id of ids) {
    const file = uppy.getFile(id)
    // A file that was removed meanwhile.
    if (!file) continue
    try {
      await prepareFile(uppy, id)
    } catch (error) {
      const text = error instanceof Refused ? error.message : 'The bot cannot be reached. Check the connection, then press Retry.'
      uppy.emit('upload-error', uppy.getFile(id) ?? file, Object.assign(new Error(text), { isFinalWord: true }))
    }
  }
}

/** Follows a finished upload to what the store found. */
async function follow(file, path) {
  for (;;) {
    const state = await stateOf(path).catch(() => undefined)
    if (state) {
      report(file, `${state.sentence} ${state.action}`.trim(), state)
      if (state.isFinal) return
    }
    await pause(FOLLOW_MS)
  }
}

/** Says which files this browser has not finished, and forgets those that ended. */
async function showUnfinished() {
  const names = []
  for (const { key, path, name } of kept.list()) {
    const state = await stateOf(path).catch(() => undefined)
    if (state?.upload || !state) names.push(name)
    else if (state.state !== 'open') kept.forgetKey(key)
  }
  if (names.length > 0) say(`Not finished in this browser: ${names.join(', ')}. Choose the same file again to continue it.`)
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
    metaFields: links && [
      { id: 'imageName', name: 'Name of the image', placeholder: 'the name of the file' },
      { id: 'digest', name: 'Expected digest', placeholder: 'sha256:… of the whole file, verified' },
    ],
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
    kept.forget(file)
    kept.release(file)
    const path = uppy.getFile(file.id)?.slipwayPath
    if (path) void follow(file, path)
  })
  const sayProgress = () => say(uppy.getObjectOfFilesPerState().isAllPaused ? PAUSED : SENDING)
  uppy.on('upload-progress', sayProgress)
  uppy.on('upload-pause', sayProgress)
  uppy.on('pause-all', sayProgress)
  uppy.on('resume-all', sayProgress)
  uppy.on('complete', ({ failed }) => {
    if (links) say(failed.length === 0 ? 'Everything was sent. What the store says of each file is below.' : 'Some files were not sent; why is below.')
  })
  uppy.on('upload-error', (file, error) => {
    if (!file) return
    kept.release(file)
    report(file, error.isFinalWord ? error.message : `${error.message} What has arrived is kept. Press Retry, or choose the file again later.`)
  })
  uppy.on('file-removed', (file) => kept.release(file))
  // Without an upload in progress, the sentence is about one that has ended.
  window.addEventListener('offline', () => uppy.getObjectOfFilesPerState().isUploadInProgress && say(OFFLINE))
  window.addEventListener('online', () => isSaid(OFFLINE) && say('The connection is back.'))
  // A single file would be a list item without a list.
  new MutationObserver(() => root.querySelector('.uppy-Dashboard-files:not([role])')?.setAttribute('role', 'list')).observe(root, {
    childList: true,
    subtree: true,
  })
  void showUnfinished()
  // For tests, and for whoever opens the developer tools.
  root.dataset.ready = 'true'
}

showTimes()
if (root) start()
