// Boxes that choose rows of a table, and the buttons below it that lead to what can be done with all of them at once. It works without a script: the form leads to an
// address, and opening an address changes nothing.

/** @jsxImportSource hono/jsx */

import { plainText } from '../phrases.ts'
import type { Row } from '../view.ts'
import type { Choice, Html } from './html.ts'

/** The boxes belong to the form by its id: it cannot surround the table, whose rows have forms of their own. */
const FORM_ID = 'choice'

/** The heading of the column of boxes. */
export function ChoiceHeading(): Html {
  return (
    <th role="columnheader" scope="col">
      <span class="unseen">Choose</span>
    </th>
  )
}

/** The box of a row; an empty cell for a row that cannot be chosen. */
export function ChoiceCell({ choice, row }: { readonly choice: Choice; readonly row: Row }): Html {
  const chosen = choice.valueOf(row)
  return (
    <td role="cell" data-label="Choose">
      {chosen ? (
        // The id keeps a live page from giving the check of one row to another, and the attribute keeps a browser from it when the page is loaded again.
        <input
          type="checkbox"
          id={`choose-${chosen.key}`}
          form={FORM_ID}
          name={choice.field}
          value={chosen.value}
          aria-label={`Choose ${plainText(chosen.name)}`}
          autocomplete="off"
        />
      ) : (
        ''
      )}
    </td>
  )
}

/** The buttons. The empty field says that boxes were offered when none is checked. */
export function ChoiceButtons({ choice, rows }: { readonly choice: Choice; readonly rows: readonly Row[] }): Html {
  const count = rows.filter((row) => choice.valueOf(row) !== undefined).length
  return (
    <form id={FORM_ID} method="get" class="chosen" aria-label="Act on the chosen rows">
      <input type="hidden" name={choice.field} value="" />
      {count > 1 ? (
        // It needs the script, and the stylesheet hides it without scripts. It has no name, so it is not sent.
        <label class="choose-all">
          <input type="checkbox" id="all-rows" data-chooses={choice.field} autocomplete="off" /> Choose all {count} rows shown
        </label>
      ) : (
        ''
      )}{' '}
      With the chosen ones:
      {choice.buttons.map(({ label, about, path, isDanger }) => (
        <>
          {' '}
          <button type="submit" formaction={path} title={about} class={isDanger ? 'danger' : ''}>
            {label}
          </button>
        </>
      ))}
    </form>
  )
}
