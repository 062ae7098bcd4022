// A View as JSON: its facts, in the shapes of the HTTP interface, without layout.

import type { View } from './view.ts'
import { plainJson } from './phrases.ts'

/** One line of JSON without its end; safe to be shown on a terminal. */
export function renderJson(view: View): string {
  return plainJson(JSON.stringify(view.json))
}
