// The page of an upload link, for whoever has it. It needs no session, and says everything without JavaScript: the script adds the choice of a file.

/** @jsxImportSource hono/jsx */

import type { Child } from 'hono/jsx'
import { formatSize } from '../../protocol/units.ts'
import type { UploadLines } from '../../protocol/upload-lines.ts'
import { Document } from '../../protocol/views/html/document.tsx'
import type { Html } from '../../protocol/views/html/html.ts'
import { formatWireTime } from '../../protocol/views/phrases.ts'
import type { LinkState } from './link-state.ts'
import type { UploadAssets } from './assets.ts'

/** Why a page cannot show its link, and what to do. */
export interface LinkTrouble {
  readonly title: string
  readonly sentence: string
  readonly action: string
}

/** What the script of a page needs, as the page carries it. */
interface PageOrder {
  /** Where it asks for the state of the link, and creates uploads. */
  readonly state: string
  readonly uploads: string
  readonly store: string
}

function Page({ title, assets, children }: { readonly title: string; readonly assets: UploadAssets; readonly children: Child }) {
  return (
    <Document title={title} loads={{ styles: [assets.stylePath], modules: [assets.scriptPath] }} class="link">
      <main>
        <h1>{title}</h1>
        {children}
      </main>
    </Document>
  )
}

function Facts({ rows }: { rows: readonly (readonly [string, Child])[] }) {
  return (
    <dl>
      {rows.map(([label, value]) => (
        <div>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}

/** A time that the script shows in the zone of the reader. */
function Time({ at }: { at: string }) {
  return <time datetime={at}>{formatWireTime(at)}</time>
}

/** Returns the page of a link as HTML. */
export function linkPage(state: LinkState, { assets, lines, order }: { assets: UploadAssets; lines: UploadLines; order: PageOrder }): Html {
  const { store, name, format, lengthMax, expiresAt, upload, isFinal, sentence, action, found } = state
  const title = `Upload ${name ?? 'an image'} to ${store}`
  const arrived = upload && (upload.length === null ? formatSize(upload.offset) : `${formatSize(upload.offset)} of ${formatSize(upload.length)}`)
  const facts: [string, Child][] = [
    ['Goes to', store],
    ['Image', name ?? 'named like the file'],
    ['Format', format ?? 'raw, qcow2, vmdk or iso'],
    ['Largest file', formatSize(lengthMax)],
  ]
  if (state.state === 'open') facts.push(['Begin before', <Time at={expiresAt} />])
  if (arrived) facts.push(['Arrived', arrived])
  if (upload?.filename) facts.push(['File', upload.filename])
  if (upload?.expiresAt) facts.push(['Kept until', <Time at={upload.expiresAt} />])
  return (
    <Page title={title} assets={assets}>
      <p id="sentence" role="status">
        {sentence} {action}
      </p>
      <Facts rows={facts} />
      <div id="found">{found.length > 0 && <Facts rows={found} />}</div>
      {!isFinal && (
        <>
          <div
            id="uploader"
            data-state={order.state}
            data-uploads={order.uploads}
            data-store={order.store}
            data-length-max={lengthMax}
            data-files-max="1"
          ></div>
          <p>Whoever has this address can upload the file: keep it secret. You can close the page and open it again: the upload continues where it stopped.</p>
          <details>
            <summary>Upload from a terminal</summary>
            <p>With curl, after FILE= the path of your file:</p>
            <pre tabindex={0}>
              <code>{lines.curl}</code>
            </pre>
            <p>With Node.js and tus-js-client (npm install tus-js-client), after FILE= the path of your file:</p>
            <pre tabindex={0}>
              <code>{lines.tus}</code>
            </pre>
            <p>If the connection breaks, open this page again: the lines then continue the upload.</p>
          </details>
        </>
      )}
    </Page>
  )
}

/** Returns a page that says why there is no link to show. */
export function troublePage({ title, sentence, action }: LinkTrouble, assets: UploadAssets): Html {
  return (
    <Page title={title} assets={assets}>
      <p role="alert">{sentence}</p>
      <p>{action}</p>
    </Page>
  )
}
