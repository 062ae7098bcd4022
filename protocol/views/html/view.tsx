// A View as semantic HTML: a section with its heading, facts, rows, tasks, actions, and the age of its facts. It works without a script.

/** @jsxImportSource hono/jsx */

import { formatAgo, isEnded, progressWords } from '../phrases.ts'
import type { Field, FollowedTask, View } from '../view.ts'
import { Charts } from './charts.tsx'
import { Actions, Confirmation, Questions } from './forms.tsx'
import type { Html, HtmlOptions } from './html.ts'
import { Table } from './table.tsx'
import { Mark, Words } from './words.tsx'

/** Renders a View. */
export function ViewSection({ view, options }: { readonly view: View; readonly options: HtmlOptions }): Html {
  const { confirm, form } = view
  const running = [...view.progress, ...(view.bars ?? [])].filter(({ task }) => !isEnded(task.state))
  return (
    <section class={`view ${view.tone} ${view.outcome}`}>
      <Title view={view} level={options.level} />
      <Sentence view={view} />
      {view.document === undefined ? (
        ''
      ) : (
        <pre tabindex={0} aria-label={view.title}>
          {view.document}
        </pre>
      )}
      {confirm ? '' : <Fields fields={view.fields} options={options} isPrivate={view.isPrivate} />}
      <Charts view={view} options={options} />
      {running.map((followed) => (
        <Progress followed={followed} options={options} />
      ))}
      {confirm ? <Confirmation confirm={confirm} options={options} /> : ''}
      {form ? <Questions form={form} options={options} /> : ''}
      <Notes notes={view.notes} />
      <Actions view={view} options={options} />
      <Table view={view} options={options} />
      <p class="age">
        as of <Words text={formatAgo(view.asOfMs, options.nowMs)} />
      </p>
    </section>
  )
}

function Title({ view, level }: { readonly view: View; readonly level: HtmlOptions['level'] }): Html {
  const content = (
    <>
      <Mark tone={view.tone} />
      <Words text={view.title} />
    </>
  )
  return level === 1 ? <h1>{content}</h1> : <h2>{content}</h2>
}

/** The sentence. A confirmation shows its question instead of the words for a console, and what has changed since it was shown. */
function Sentence({ view: { text, confirm } }: { readonly view: View }): Html {
  const shown = confirm && text.startsWith(confirm.question) ? confirm.question : text
  return shown === '' ? (
    <></>
  ) : (
    <p class="text">
      <Words text={shown} />
    </p>
  )
}

function Fields({ fields, options, isPrivate }: { readonly fields: readonly Field[]; readonly options: HtmlOptions; readonly isPrivate: boolean }): Html {
  if (fields.length === 0) return <></>
  return (
    <dl class="fields">
      {fields.map((field) => {
        const href = isPrivate ? webAddress(field.value) : options.cellHref(field.label, '', field.value)
        const shown = <Words text={field.value} />
        return (
          <div class={field.isLine ? 'line' : ''}>
            <dt>
              <Words text={field.label} />
            </dt>
            <dd>
              <Mark tone={field.tone} />
              {href === undefined ? shown : <a href={href}>{shown}</a>}
            </dd>
          </div>
        )
      })}
    </dl>
  )
}

/** The address that an answer was asked for, such as a link to download. Anything else stays text. */
function webAddress(text: string): string | undefined {
  const url = /^https?:\/\/\S+$/.test(text) ? URL.parse(text) : null
  return url?.protocol === 'https:' || url?.protocol === 'http:' ? url.href : undefined
}

function Progress({ followed, options }: { readonly followed: FollowedTask; readonly options: HtmlOptions }): Html {
  const { store, task } = followed
  const { done, total } = task.progress
  const href = options.cellHref('Task', 'id', task.id)
  const words = `${store} ${task.state}: ${progressWords(task)}`
  return (
    <p class="progress">
      {/* A bar without a value says that the amount is not known yet. */}
      <progress aria-label={`${task.kind} in ${store}`} {...(total === null || total === 0 ? {} : { max: total, value: Math.min(done, total) })} />{' '}
      {href === undefined ? <Words text={words} /> : <a href={href}>{words}</a>}
    </p>
  )
}

/** Remarks below an answer; nothing without any. */
export function Notes({ notes }: { readonly notes: readonly string[] }): Html {
  if (notes.length === 0) return <></>
  return (
    <ul class="notes" aria-label="Notes">
      {notes.map((note) => (
        <li>
          <Mark tone="warning" />
          <Words text={note} />
        </li>
      ))}
    </ul>
  )
}
