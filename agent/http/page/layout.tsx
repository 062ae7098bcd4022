// The frame of every page of the agent, and the answer that carries it.

/** @jsxImportSource hono/jsx */

import type { Child } from 'hono/jsx'
import { Document } from '../../../protocol/views/html/document.tsx'
import type { DocumentLoads } from '../../../protocol/views/html/document.tsx'
import type { Html } from '../../../protocol/views/html/html.ts'
import { Words } from '../../../protocol/views/html/words.tsx'
import type { Actor } from '../../contract/access.ts'
import { PAGE_PLACES, relativeHref } from './addresses.ts'

/** Paths of what pages load. */
export const STYLE_PATH = '/page/style.css'
export const ICON_PATH = '/page/icon.svg'
/** Path of the form that ends a session. */
export const LEAVE_PATH = '/page/leave'
/** Name of the field that proves that a form comes from a page of the session. */
export const FORM_TOKEN_FIELD = 'form-token'

/**
 * No script at all, no style or image but our own, no frame around the page, no form that leads elsewhere. With no referrer, browsers would send no usable
 * Origin with a form.
 */
const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy': "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cache-Control': 'no-store',
}

/** Answers with a page. */
export function pageAnswer(page: Html, status = 200): Response {
  if (page instanceof Promise) throw new Error('a part of the page is asynchronous')
  // A text by its type: hono renders it where it becomes part of another text.
  const text: string = page
  return new Response(text, { status, headers: PAGE_HEADERS })
}

export interface PageFrame {
  readonly title: string
  /** Path of the page. */
  readonly path: string
  readonly actor: Actor
  /** The token of the session's forms; undefined for a request with a bearer token, which has no session to end. */
  readonly formToken: string | undefined
}

/** A page of somebody who has entered a token. */
export function Page({ frame, children }: { readonly frame: PageFrame; readonly children: Child }): Html {
  const { title, path, actor, formToken } = frame
  return (
    <Document title={`${title} · Slipway`} loads={loadsOf(path)}>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header>
        <a class="brand" href={relativeHref(path, '/')}>
          Slipway
        </a>
        <nav aria-label="Places">
          <ul>
            {PAGE_PLACES.map((place) => (
              <li>
                <a href={relativeHref(path, place.path)} {...currentOf(path, place.path)}>
                  {place.label}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <div class="who">
          <span>
            <Words text={actor.name} /> ({actor.role})
          </span>
          {formToken === undefined ? (
            ''
          ) : (
            <form method="post" action={relativeHref(path, LEAVE_PATH)}>
              <input type="hidden" name={FORM_TOKEN_FIELD} value={formToken} />
              <button type="submit">Log out</button>
            </form>
          )}
        </div>
      </header>
      <main id="main" tabindex={-1}>
        {children}
      </main>
    </Document>
  )
}

/** A page for somebody who has not entered a token. */
export function PlainPage({ title, path, children }: { readonly title: string; readonly path: string; readonly children: Child }): Html {
  return (
    <Document title={`${title} · Slipway`} loads={loadsOf(path)}>
      <main id="main" class="alone">
        {children}
      </main>
    </Document>
  )
}

function loadsOf(path: string): DocumentLoads {
  return { icon: relativeHref(path, ICON_PATH), styles: [relativeHref(path, STYLE_PATH)] }
}

/** Marks the place of a page in the navigation, and the list that a page is part of. */
function currentOf(path: string, place: string): { readonly 'aria-current'?: 'page' | 'true' } {
  if (path === place) return { 'aria-current': 'page' }
  return place !== '/' && path.startsWith(`${place}/`) ? { 'aria-current': 'true' } : {}
}
