// The frame of every page: landmarks, navigation, search, and who is logged in.

/** @jsxImportSource hono/jsx */

import type { Child } from 'hono/jsx'
import type { CommandActor } from '../commands/command.ts'
import { Document } from '../../protocol/views/html/document.tsx'
import type { DocumentLoads } from '../../protocol/views/html/document.tsx'
import { Hidden } from '../../protocol/views/html/forms.tsx'
import type { Html } from '../../protocol/views/html/html.ts'
import { Words } from '../../protocol/views/html/words.tsx'
import { PLACES } from './places.ts'
import { PAGE_SCRIPT } from './page-script.ts'
import { PAGE_ICON, PAGE_STYLE } from '../../protocol/views/html/page-style.ts'

/** Files that pages load: their address changes with their content, so a browser may keep them. */
export const ASSETS: readonly { readonly path: string; readonly type: string; readonly text: string }[] = [
  { path: `/assets/page-${nameOf(PAGE_STYLE)}.css`, type: 'text/css; charset=utf-8', text: PAGE_STYLE },
  { path: `/assets/page-${nameOf(PAGE_SCRIPT)}.js`, type: 'text/javascript; charset=utf-8', text: PAGE_SCRIPT },
  { path: `/assets/page-${nameOf(PAGE_ICON)}.svg`, type: 'image/svg+xml', text: PAGE_ICON },
]

export interface PageFrame {
  readonly title: string
  /** Address of the page, which the navigation marks. */
  readonly path: string
  readonly actor: CommandActor
  readonly token: string
  readonly search?: string
  /** A page that changes by itself; a link loads it again without the script. */
  readonly live?: LiveFrame
  /** What the page loads besides the style and the script of every page. */
  readonly loads?: PageLoads
}

export interface LiveFrame {
  /** The address with its query: that of the page, or of what a form has started. */
  readonly address: string
  /** What the page knew when it was made; empty while it shows work that goes on. */
  readonly mark: string
}

export interface PageLoads {
  readonly stylePath: string
  /** A module. */
  readonly scriptPath: string
}

/** A page of somebody who is logged in. */
export function Page({ frame, children }: { readonly frame: PageFrame; readonly children: Child }): Html {
  const { title, path, actor, token, search = '', live, loads } = frame
  const role = actor.id === undefined ? `${actor.role}, from the console` : actor.role
  return (
    <Document title={`${title} · Slipway`} loads={loadsOf(loads)}>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header>
        <a class="brand" href="/">
          Slipway
        </a>
        <nav aria-label="Places">
          <ul>
            {[...PLACES, { path: '/c', label: 'Commands' }].map((place) => (
              <li>
                <a href={place.path} {...(isWithin(path, place.path) ? { 'aria-current': path === place.path ? 'page' : 'true' } : {})}>
                  {place.label}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <form method="get" action="/search" role="search" aria-label="Stores, images and tasks">
          <label class="unseen" for="search">
            Search stores, images and tasks
          </label>
          <input id="search" type="search" name="q" value={search} maxlength={200} placeholder="Search ( / )" />
          <button type="submit">Search</button>
        </form>
        <div class="who">
          <span>
            <Words text={actor.name} /> ({role})
          </span>
          <form method="post" action="/leave">
            <Hidden target={{ path: '/leave', fields: [] }} options={{ token, makeOnce: () => '' }} />
            <button type="submit">Log out</button>
          </form>
        </div>
      </header>
      <main id="main" tabindex={-1} {...(live === undefined ? {} : { 'data-live': live.mark, 'data-for': live.address })}>
        {children}
        {live === undefined ? (
          ''
        ) : (
          <p>
            <a href={live.address}>Load again</a> <span role="status" id="stale" /> <span id="stale-age" /> <span role="status" id="news" class="unseen" />
          </p>
        )}
      </main>
    </Document>
  )
}

/** A page for somebody who is not logged in. */
export function PlainPage({ title, children }: { readonly title: string; readonly children: Child }): Html {
  return (
    <Document title={`${title} · Slipway`} loads={loadsOf()}>
      <main id="main" class="alone">
        {children}
      </main>
    </Document>
  )
}

/** Returns what a page loads: the style and the script of every page, and its own. */
function loadsOf(own?: PageLoads): DocumentLoads {
  const [style, script, icon] = ASSETS
  const styles = [style?.path ?? '', ...(own ? [own.stylePath] : [])]
  return { icon: icon?.path ?? '', styles, script: script?.path ?? '', modules: own ? [own.scriptPath] : [] }
}

function isWithin(path: string, place: string): boolean {
  return path === place || (place !== '/' && path.startsWith(`${place}/`))
}

function nameOf(text: string): string {
  return new Bun.CryptoHasher('sha256').update(text).digest('hex').slice(0, 16)
}
