// Shell lines that upload a file by an upload link, for whoever has the link. The agent shows them at the link, and the bot beside it.

/** Bytes that one request of the tus line sends: what a broken connection loses at most, besides what the agent has kept. */
const TUS_REQUEST_BYTES = 64 * 1024 * 1024

export interface UploadLines {
  /** A line for a POSIX shell with curl and coreutils. */
  readonly curl: string
  /** A line for Node.js with the package tus-js-client. */
  readonly tus: string
}

/** Returns the lines that begin an upload of `$FILE`. Unless `isNamed`, the image gets the name of the file. */
export function firstUploadLines(url: string, isNamed: boolean): UploadLines {
  const headers = ['Tus-Resumable: 1.0.0', 'Upload-Length: $(stat -c %s "$FILE")', 'Content-Type: application/offset+octet-stream']
  if (!isNamed) headers.push('Upload-Metadata: filename $(basename "$FILE" | tr -d \'\\n\' | base64 -w 0)')
  const curl = ['FILE=disk.raw; curl -fSs -X POST -T "$FILE"', ...headers.map((header) => `-H "${header}"`), quoteForShell(url)].join(' ')
  return { curl, tus: tusLine({ endpoint: url }) }
}

/** Returns the lines that continue an upload of `$FILE`. `url` is that of the upload, with its link. */
export function nextUploadLines(url: string): UploadLines {
  const readOffset = `AT=$(curl -fsSI -H "Tus-Resumable: 1.0.0" "$URL" | tr -d '\\r' | sed -n 's/^[Uu]pload-[Oo]ffset: *//p')`
  const send =
    'tail -c +$((AT + 1)) "$FILE" | curl -fSs -X PATCH -T - -H "Tus-Resumable: 1.0.0" -H "Upload-Offset: $AT" -H "Content-Type: application/offset+octet-stream" "$URL"'
  return { curl: `FILE=disk.raw; URL=${quoteForShell(url)}; ${readOffset}; ${send}`, tus: tusLine({ uploadUrl: url }) }
}

function tusLine(target: { readonly endpoint: string } | { readonly uploadUrl: string }): string {
  const [[name, url] = ['', '']] = Object.entries(target)
  const options = [
    `${name}: ${JSON.stringify(url)}`,
    'uploadSize: fs.statSync(file).size',
    `chunkSize: ${TUS_REQUEST_BYTES}`,
    'metadata: { filename: path.basename(file) }',
    'onError(error) { console.error(error.message); process.exitCode = 1 }',
    'onSuccess() { console.log("uploaded") }',
  ]
  const program = `const fs = require("fs"), path = require("path"), { Upload } = require("tus-js-client"), file = process.env.FILE; new Upload(fs.createReadStream(file), { ${options.join(', ')} }).start()`
  return `FILE=disk.raw node -e ${quoteForShell(program)}`
}

/** Returns text as one word of a POSIX shell. */
function quoteForShell(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
