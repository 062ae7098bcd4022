// What can be done on a page: actions, the typed name before something is deleted, the questions of a command, and boxes that choose rows.

import { describe, expect, test } from 'bun:test'
import { ChoiceButtons, ChoiceCell } from '../../../../protocol/views/html/choice.tsx'
import { Actions, Confirmation, Questions } from '../../../../protocol/views/html/forms.tsx'
import type { Choice, HtmlOptions } from '../../../../protocol/views/html/html.ts'
import { rowWindow } from '../../../../protocol/views/html/row-window.ts'
import { makeView } from '../../../../protocol/views/view.ts'
import type { Action, Confirm, Form, Row } from '../../../../protocol/views/view.ts'

const HIDDEN = '<input type="hidden" name="_token" value="secret"/><input type="hidden" name="_once" value="n1"/><input type="hidden" name="line" value="x"/>'

const OPTIONS: HtmlOptions = {
  nowMs: 0,
  level: 1,
  token: 'secret',
  makeOnce: () => 'n1',
  window: () => rowWindow(makeView({ title: '', asOfMs: 0, json: null }), '/', new URLSearchParams()),
  cellHref: () => undefined,
  action: () => undefined,
  post: (command) => ({ path: '/run', fields: [['line', command === 'refused' ? 'y' : 'x']] }),
}

const markupOf = (markup: { toString(): string }): string => markup.toString()

describe('actions', () => {
  const actions: readonly Action[] = [
    { label: 'Show', command: 'store show a', role: 'viewer' },
    { label: 'Delete', command: 'store delete a', role: 'admin', style: 'danger' },
    { label: 'Not for you', command: 'token list', role: 'admin' },
  ]
  const options: HtmlOptions = {
    ...OPTIONS,
    action: ({ command }) =>
      command === 'store show a'
        ? { kind: 'link', href: '/stores/a' }
        : command === 'store delete a'
          ? { kind: 'post', target: { path: '/run', fields: [['line', 'x']] } }
          : undefined,
  }
  const render = (rows: readonly Row[] = []): string => markupOf(Actions({ view: makeView({ title: '', rows, actions, asOfMs: 0, json: null }), options }))

  test('are links to what can be looked at, and forms for what changes something; others are left out', () => {
    expect(render()).toBe(
      '<ul class="actions" aria-label="Actions"><li><a class="button " href="/stores/a">Show</a></li>' +
        `<li><form method="post" action="/run">${HIDDEN}<button type="submit" class="danger">Delete</button></form></li></ul>`,
    )
  })

  test('that a row opens are not repeated below the table', () => {
    expect(render([{ cells: {}, opens: 'store show a' }])).not.toContain('Show')
    expect(render([{ cells: {}, opens: 'store show a' }])).toContain('Delete')
  })

  test('are nothing where none is left', () => {
    expect(markupOf(Actions({ view: makeView({ title: '', actions, asOfMs: 0, json: null }), options: OPTIONS }))).toBe('')
  })
})

describe('a confirmation', () => {
  const confirm: Confirm = {
    name: 'edge-a',
    question: 'Delete it?',
    promises: [{ label: 'Images', value: '3' }],
    checklist: [{ label: 'Empty', passed: true, detail: 'It has no images.' }],
    command: 'store delete edge-a',
  }

  test('has its figures, its checklist and the input for the name', () => {
    const html = markupOf(Confirmation({ confirm, options: OPTIONS }))
    expect(html).toContain('<dl class="fields"><div><dt>Images</dt><dd>3</dd></div></dl>')
    expect(html).toContain('<span class="glyph good" aria-hidden="true">●</span> <span class="unseen">Good: </span> <b>Empty</b>: It has no images.')
    expect(html).toContain(`<form method="post" action="/run" class="typed">${HIDDEN}<label for="confirm-name">Type <b>edge-a</b> to confirm</label>`)
    expect(html).toContain('<input id="confirm-name" name="_confirm" required="" autocomplete="off" autocapitalize="off" spellcheck="false"/>')
    expect(html).not.toContain('error')
  })

  test('has no input while a check has not passed, or for somebody who may not run it', () => {
    const checklist = [...confirm.checklist, { label: 'Reachable', passed: false, detail: 'It does not answer.' }]
    const blocked = markupOf(Confirmation({ confirm: { ...confirm, checklist }, options: OPTIONS }))
    expect(blocked).toContain('<span class="unseen">Problem: </span> <b>Reachable</b>')
    expect(blocked).not.toContain('<form')
    expect(markupOf(Confirmation({ confirm, options: { ...OPTIONS, post: () => undefined } }))).not.toContain('<form')
  })

  test('without figures has no list of them', () => {
    const { promises: _promises, ...bare } = confirm
    expect(markupOf(Confirmation({ confirm: bare, options: OPTIONS }))).not.toContain('<dl')
    expect(markupOf(Confirmation({ confirm: { ...confirm, promises: [] }, options: OPTIONS }))).not.toContain('<dl')
  })

  test('says below its input what was wrong with the name', () => {
    const html = markupOf(Confirmation({ confirm, options: { ...OPTIONS, nameError: 'That is edge-b.' } }))
    expect(html).toContain('<p class="error" id="confirm-error">That is edge-b.</p>')
    expect(html).toContain('aria-invalid="true" aria-describedby="confirm-error"')
  })
})

describe('questions', () => {
  const field = { kind: 'text', subject: 'text', choices: [], example: undefined, isMany: false } as const
  const form: Form = {
    ...{ command: 'store add', title: 'Add', submit: 'Add it', line: 'store add', before: {} },
    fields: [
      { ...field, key: 'url', label: 'Address', hint: 'Where it is.', isRequired: true, isSecret: false },
      { ...field, key: 'token', label: 'Token', hint: 'From the agent.', isRequired: false, isSecret: true },
      { ...field, key: '--force', kind: 'switch', label: 'Force', hint: 'All the same.', isRequired: false, isSecret: false },
      { ...field, key: 'zones', label: 'Zones', hint: 'Some.', isRequired: false, isSecret: false },
    ],
    values: { url: 'http://a', token: 'tok-1', zones: ['a', 'b'] },
  }

  test('are inputs with a label and a hint; a secret is hidden and never shown again', () => {
    expect(markupOf(Questions({ form, options: OPTIONS }))).toBe(
      `<form method="post" action="/run" class="questions">${HIDDEN}` +
        '<div class="field"><label for="question-url">Address</label><p class="hint" id="question-url-hint">Where it is.</p>' +
        '<input id="question-url" name="url" type="text" autocomplete="off" aria-describedby="question-url-hint" required="" value="http://a"/></div>' +
        '<div class="field"><label for="question-token">Token (optional)</label><p class="hint" id="question-token-hint">From the agent.</p>' +
        '<input id="question-token" name="token" type="password" autocomplete="off" aria-describedby="question-token-hint"/></div>' +
        '<div class="field"><label for="question-zones">Zones (optional)</label><p class="hint" id="question-zones-hint">Some.</p>' +
        '<input id="question-zones" name="zones" type="text" autocomplete="off" aria-describedby="question-zones-hint"/></div>' +
        '<button type="submit" class="primary">Add it</button></form>',
    )
  })

  test('are not asked of somebody who may not run the command', () => {
    expect(markupOf(Questions({ form, options: { ...OPTIONS, post: () => undefined } }))).toBe('')
  })
})

describe('boxes of rows', () => {
  const choice: Choice = {
    field: 'chosen',
    valueOf: ({ cells: { name = '' } }) => (name === '' ? undefined : { value: `id-${name}`, name, key: `k-${name}` }),
    buttons: [
      { label: 'Delete…', about: 'To the recycle bin', path: '/delete', isDanger: true },
      { label: 'Protect…', about: 'From deletion', path: '/protect', isDanger: false },
    ],
  }
  const row = (name: string): Row => ({ cells: { name } })

  test('send what the row names, and say it', () => {
    expect(markupOf(ChoiceCell({ choice, row: row('a\u202E') }))).toBe(
      '<td role="cell" data-label="Choose"><input type="checkbox" id="choose-k-a\u202E" form="choice" name="chosen" value="id-a\u202E" aria-label="Choose a?" autocomplete="off"/></td>',
    )
    expect(markupOf(ChoiceCell({ choice, row: row('') }))).toBe('<td role="cell" data-label="Choose"></td>')
  })

  test.each([
    [['a', 'b', ''], 'Choose all 2 rows shown'],
    [['a', ''], undefined],
  ])('of %j are chosen all at once from two rows on', (names, all) => {
    const html = markupOf(ChoiceButtons({ choice, rows: names.map(row) }))
    expect(html).toContain('<form id="choice" method="get" class="chosen" aria-label="Act on the chosen rows"><input type="hidden" name="chosen" value=""/>')
    expect(html).toContain('<button type="submit" formaction="/delete" title="To the recycle bin" class="danger">Delete…</button>')
    expect(html).toContain('<button type="submit" formaction="/protect" title="From deletion" class="">Protect…</button>')
    if (all === undefined) expect(html).not.toContain('Choose all')
    else expect(html).toContain(`<input type="checkbox" id="all-rows" data-chooses="chosen" autocomplete="off"/> ${all}`)
  })
})
