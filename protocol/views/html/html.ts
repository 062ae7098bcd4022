// What the parts of a page share: the type of markup, and where links and forms go. The renderer knows no command; whoever serves the page says where each one is.

import type { JSX } from 'hono/jsx/jsx-runtime'
import type { Action, Column, Row, StoreFile } from '../view.ts'

/** Markup. Text in it is escaped when it is made, so a name with markup stays a name. */
export type Html = JSX.Element

/** What a form sends: hidden fields besides those that a person fills in. */
export interface PostTarget {
  readonly path: string
  readonly fields: readonly (readonly [name: string, value: string])[]
}

/** Where an action leads: a page to look at, or a form that runs it. */
export type ShownAction = { readonly kind: 'link'; readonly href: string } | { readonly kind: 'post'; readonly target: PostTarget }

/** The part of a table's rows that is shown, and where the others are. */
export interface RowWindow {
  readonly rows: readonly Row[]
  /** Rows that the filter leaves, of all. */
  readonly found: number
  readonly all: number
  readonly page: number
  readonly pages: number
  readonly sortedBy: string | undefined
  readonly isDescending: boolean
  /** Text by which rows are filtered; undefined for a table without a filter. */
  readonly find: string | undefined
  sortHref(column: Column): string
  pageHref(page: number): string
  /** Fields of the page's address that the form of the filter keeps. */
  readonly kept: readonly (readonly [name: string, value: string])[]
}

/** A link of the menu of a row. */
export interface RowAction {
  readonly label: string
  readonly href: string
  readonly isDanger: boolean
}

/** What can be done with several rows of a table at once. */
export interface Choice {
  /** Name of the boxes. */
  readonly field: string
  /** Returns what the box of a row sends, the name of the row, and a key that no other row has; undefined for a row without a box. */
  valueOf(row: Row): { readonly value: string; readonly name: string; readonly key: string } | undefined
  readonly buttons: readonly ChoiceButton[]
}

/** A button that leads to an address with the chosen rows. */
export interface ChoiceButton {
  readonly label: string
  readonly about: string
  readonly path: string
  readonly isDanger: boolean
}

export interface HtmlOptions {
  readonly nowMs: number
  /** Level of the View's heading. */
  readonly level: 1 | 2
  /** Proves that a form comes from a page of this session. */
  readonly token: string
  /** A number that is used once: a form with it runs once. */
  makeOnce(): string
  /** Returns the rows to show. */
  window(): RowWindow
  /** Returns the address of what a cell or field names; undefined for plain text. */
  cellHref(label: string, key: string, text: string, row?: Row): string | undefined
  /** Returns the address that downloads a file; undefined, also without this member, when the person may not. */
  fileHref?(file: StoreFile): string | undefined
  /** Returns what the person can do with what a row names. */
  rowActions?(row: Row): readonly RowAction[]
  /** Returns where an action leads; undefined when the person may not run it. */
  action(action: Pick<Action, 'command' | 'role'>): ShownAction | undefined
  /** Returns what the form of a command line sends. */
  post(command: string): PostTarget | undefined
  /** Lets rows be chosen. */
  readonly choice?: Choice | undefined
  /** Address of the series of the View's charts. */
  readonly seriesHref?: string | undefined
  /** What was wrong with the typed name. */
  readonly nameError?: string | undefined
}
