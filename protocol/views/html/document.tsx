// The frame of every document: its head, which pages of the bot, of upload links and of agents share.

/** @jsxImportSource hono/jsx */

import { raw } from 'hono/html'
import type { Child } from 'hono/jsx'
import type { Html } from './html.ts'

/** What a document loads, as addresses of the place that serves it. */
export interface DocumentLoads {
  /** The address of an SVG; a document without one tells the browser to ask for none. */
  readonly icon?: string
  readonly styles: readonly string[]
  /** A script that runs once the document is read. */
  readonly script?: string
  readonly modules?: readonly string[]
}

interface DocumentParts {
  readonly title: string
  readonly loads: DocumentLoads
  /** Class of the body. */
  readonly class?: string
  readonly children: Child
}

/** A whole document with its type. It is for people: search engines are asked to leave it out. */
export function Document({ title, loads, class: name, children }: DocumentParts): Html {
  const { icon, styles, script, modules = [] } = loads
  return (
    <>
      {raw('<!DOCTYPE html>')}
      <html lang="en">
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <meta name="robots" content="noindex" />
          <title>{title}</title>
          {icon === undefined ? <link rel="icon" href="data:," /> : <link rel="icon" href={icon} type="image/svg+xml" />}
          {styles.map((href) => (
            <link rel="stylesheet" href={href} />
          ))}
          {script === undefined ? '' : <script src={script} defer />}
          {modules.map((src) => (
            <script type="module" src={src} />
          ))}
        </head>
        <body {...(name === undefined ? {} : { class: name })}>{children}</body>
      </html>
    </>
  )
}
