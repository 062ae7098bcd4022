// A View as JSON: its facts without layout, with the members of the HTTP interface.

import type { View } from '../../protocol/views/view.ts'
import { plainJson } from '../../protocol/views/phrases.ts'

/** One line of JSON without a line end; safe to show on a terminal. */
export function renderJson(view: View): string {
  return plainJson(JSON.stringify(view.json))
}
