// Forms of a page: actions as buttons, the confirmation of a destructive command, and the questions of a command that lacks input.

/** @jsxImportSource hono/jsx */

import { Mark, Words } from './words.tsx'
import type { FormField } from '../form-field.ts'
import type { Confirm, Form, View } from '../view.ts'
import type { Html, HtmlOptions, PostTarget } from './html.ts'

/** Name of the field with the token of the session. */
export const TOKEN_FIELD = '_token'
/** Name of the field with the number that makes a form run once. */
export const ONCE_FIELD = '_once'
/** Name of the field with the typed name. */
export const CONFIRM_FIELD = '_confirm'

type Options = Pick<HtmlOptions, 'token' | 'makeOnce'>

/** The hidden fields of a form that changes something. */
export function Hidden({ target, options }: { readonly target: PostTarget; readonly options: Options }): Html {
  const fields = [[TOKEN_FIELD, options.token] as const, [ONCE_FIELD, options.makeOnce()] as const, ...target.fields]
  return (
    <>
      {fields.map(([name, value]) => (
        <input type="hidden" name={name} value={value} />
      ))}
    </>
  )
}

/** The actions of a View as links and buttons. */
export function Actions({ view, options }: { readonly view: View; readonly options: HtmlOptions }): Html {
  // What a row opens is a link of the row.
  const opened = new Set(view.rows.map(({ opens }) => opens))
  const shown = view.actions.flatMap((action) => {
    const way = opened.has(action.command) ? undefined : options.action(action)
    return way ? [{ action, way }] : []
  })
  if (shown.length === 0) return <></>
  return (
    <ul class="actions" aria-label="Actions">
      {shown.map(({ action, way }) => (
        <li>
          {way.kind === 'link' ? (
            <a class={`button ${action.style ?? ''}`} href={way.href}>
              <Words text={action.label} />
            </a>
          ) : (
            <form method="post" action={way.target.path}>
              <Hidden target={way.target} options={options} />
              <button type="submit" class={action.style ?? ''}>
                <Words text={action.label} />
              </button>
            </form>
          )}
        </li>
      ))}
    </ul>
  )
}

/** What a destructive command would do, its checklist, and the input for the name. Without the name nothing runs. */
export function Confirmation({ confirm, options }: { readonly confirm: Confirm; readonly options: HtmlOptions }): Html {
  const target = options.post(confirm.command)
  const isBlocked = confirm.checklist.some((item) => !item.passed)
  const { nameError } = options
  return (
    <section class="confirm" aria-label="Confirmation">
      {(confirm.promises ?? []).length > 0 ? (
        <dl class="fields">
          {confirm.promises?.map(({ label, value }) => (
            <div>
              <dt>{label}</dt>
              <dd>
                <Words text={value} />
              </dd>
            </div>
          ))}
        </dl>
      ) : (
        ''
      )}
      <ul class="checklist" aria-label="Checklist">
        {confirm.checklist.map((item) => (
          <li>
            <Mark tone={item.passed ? 'good' : 'bad'} /> <b>{item.label}</b>: <Words text={item.detail} />
          </li>
        ))}
      </ul>
      {target && !isBlocked ? (
        <form method="post" action={target.path} class="typed">
          <Hidden target={target} options={options} />
          <label for="confirm-name">
            Type{' '}
            <b>
              <Words text={confirm.name} />
            </b>{' '}
            to confirm
          </label>
          {nameError === undefined ? (
            ''
          ) : (
            <p class="error" id="confirm-error">
              <Words text={nameError} />
            </p>
          )}
          <input
            id="confirm-name"
            name={CONFIRM_FIELD}
            required
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
            {...(nameError === undefined ? {} : { 'aria-invalid': 'true', 'aria-describedby': 'confirm-error' })}
          />{' '}
          <button type="submit" class="danger">
            Confirm
          </button>
        </form>
      ) : (
        ''
      )}
    </section>
  )
}

/** The questions of a command that lacks input. */
export function Questions({ form, options }: { readonly form: Form; readonly options: HtmlOptions }): Html {
  const target = options.post(form.command)
  if (!target) return <></>
  return (
    <form method="post" action={target.path} class="questions">
      <Hidden target={target} options={options} />
      {form.fields
        .filter(({ kind }) => kind !== 'switch')
        .map((field) => (
          <Question field={field} initial={form.values[field.key]} />
        ))}
      <button type="submit" class="primary">
        {form.submit}
      </button>
    </form>
  )
}

function Question({ field, initial }: { readonly field: FormField; readonly initial: Form['values'][string] }): Html {
  const { key, label, hint, isRequired, isSecret } = field
  const id = `question-${key}`
  return (
    <div class="field">
      <label for={id}>
        {label}
        {isRequired ? '' : ' (optional)'}
      </label>
      <p class="hint" id={`${id}-hint`}>
        <Words text={hint} />
      </p>
      <input
        id={id}
        name={key}
        type={isSecret ? 'password' : 'text'}
        autocomplete="off"
        aria-describedby={`${id}-hint`}
        required={isRequired}
        {...(typeof initial === 'string' && !isSecret ? { value: initial } : {})}
      />
    </div>
  )
}
