// A View as JSON: its facts, in the shapes of the HTTP interface, without layout.

import type { View } from './view.ts'

/** One line of JSON without its end. */
export function renderJson(view: View): string {
  return JSON.stringify(view.json)
}
