// What the script of an upload page asks of the bot and of agents. A refusal keeps the words that it came with: they are for the person.

const TUS = { 'Tus-Resumable': '1.0.0' }
/** How long the browser may take to reach the agent before the bot is used, in milliseconds. */
const PROBE_MS = 3000
/** The path of an upload, or of the uploads of a link; what comes before is the page of the link. */
const FILES_PATH = /\/files(?:\/[^/]+)?$/

/** A refusal whose text is for the person. */
export class Refused extends Error {}

/** The session of the page has ended. */
export class SessionEnded extends Refused {
  constructor() {
    super(
      'Your session has ended. Files that are being sent continue. For a new session, run the command web in Slack or in the console, open this page again, and choose the file: what has arrived is kept.',
    )
  }
}

async function refusalOf(response) {
  const problem = await response.json().catch(() => undefined)
  return new Refused(problem?.detail ? `${problem.detail} ${problem.action}` : `The server answered ${response.status}.`)
}

/** Returns the state of a link, by its own path. */
export async function readState(path) {
  const response = await fetch(path, { headers: { Accept: 'application/json' } })
  if (!response.ok) throw await refusalOf(response)
  return response.json()
}

/** Returns the path at which the state of a link is, by the path of its uploads or of one of them. `audience` chooses the words of the next step. */
export function statePathOf(path, audience) {
  return `${path.replace(FILES_PATH, '/state')}${audience ? `?for=${audience}` : ''}`
}

/** Whether the browser reaches an upload at the agent: it needs the network, and the agent has to allow pages of this origin. */
export async function isReached(url) {
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
export async function createUpload(uploads, file) {
  const headers = { ...TUS, 'Upload-Length': String(file.size), 'Upload-Metadata': `filename ${encode(file.name)}` }
  const response = await fetch(uploads, { method: 'POST', headers })
  if (response.status !== 201) throw await refusalOf(response)
  return new URL(response.headers.get('Location'), location.href).pathname
}

/** Asks the page of a store for a link for one file, and returns the path of its uploads at the bot. */
export async function askLink({ links, token }, file) {
  const body = new URLSearchParams({ _token: token, length: String(file.size), name: file.meta.imageName ?? '', digest: file.meta.digest ?? '' })
  const response = await fetch(links, { method: 'POST', body, headers: { Accept: 'application/json' } })
  if (response.status === 401) throw new SessionEnded()
  if (!response.ok) throw await refusalOf(response)
  return (await response.json()).uploads
}
