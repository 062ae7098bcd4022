// A View as markup: its heading, sentence, facts, charts, bars of tasks and notes, and the times and tones of its texts.

import { describe, expect, test } from 'bun:test'
import type { Task } from '../../../../protocol/task.ts'
import type { HtmlOptions } from '../../../../protocol/views/html/html.ts'
import { rowWindow } from '../../../../protocol/views/html/row-window.ts'
import { ViewSection } from '../../../../protocol/views/html/view.tsx'
import { makeView } from '../../../../protocol/views/view.ts'
import type { View, ViewDraft } from '../../../../protocol/views/view.ts'

/** The markup of a View whose links lead nowhere, unless the options say otherwise. */
function render(draft: Partial<ViewDraft>, options: Partial<HtmlOptions> = {}): string {
  const view: View = makeView({ title: 'Stores', asOfMs: 0, json: null, ...draft })
  const all: HtmlOptions = {
    nowMs: 61_000,
    level: 1,
    token: 't',
    makeOnce: () => 'once',
    window: () => rowWindow(view, '/', new URLSearchParams()),
    cellHref: () => undefined,
    action: () => undefined,
    post: () => undefined,
    ...options,
  }
  const markup: { toString(): string } = ViewSection({ view, options: all })
  return markup.toString()
}

describe('a View without anything to show', () => {
  test('is its heading and its age', () => {
    expect(render({})).toBe(
      '<section class="view plain done"><h1>Stores</h1><p class="age">as of <time datetime="1970-01-01T00:00:00Z">1970-01-01 00:00:00 UTC</time> (1 min 1 s ago)</p></section>',
    )
  })

  test('has a heading of the second level below another one', () => {
    expect(render({}, { level: 2 })).toContain('<h2>Stores</h2>')
  })
})

describe('the tone of a View', () => {
  test.each([
    ['good', '●', 'Good'],
    ['warning', '▲', 'Warning'],
    ['bad', '✖', 'Problem'],
  ] as const)('%s is a glyph and a word before its title', (tone, glyph, word) => {
    const html = render({ tone, outcome: 'failed' })
    expect(html).toContain(`<section class="view ${tone} failed">`)
    expect(html).toContain(`<h1><span class="glyph ${tone}" aria-hidden="true">${glyph}</span> <span class="unseen">${word}: </span>Stores</h1>`)
  })
})

describe('a text', () => {
  test('has each of its times as an element, and what deceives a reader as a question mark', () => {
    const html = render({ text: 'from 2026-11-21 06:54:49 UTC to 2026-11-22T06:54:49.123Z, \u202Ea<b> 2026-11-23T01:02:03Z' })
    expect(html).toContain(
      '<p class="text">from <time datetime="2026-11-21T06:54:49Z">2026-11-21 06:54:49 UTC</time> to ' +
        '<time datetime="2026-11-22T06:54:49.123Z">2026-11-22T06:54:49.123Z</time>, ?a&lt;b&gt; <time datetime="2026-11-23T01:02:03Z">2026-11-23T01:02:03Z</time></p>',
    )
  })

  test('to copy is shown as it is', () => {
    expect(render({ document: 'a: <1>\nb: 2' })).toContain('<pre tabindex="0" aria-label="Stores">a: &lt;1&gt;\nb: 2</pre>')
    expect(render({ document: '' })).toContain('<pre')
    expect(render({})).not.toContain('<pre')
  })
})

describe('the sentence before a confirmation', () => {
  const confirm = { name: 'edge-a', question: 'Delete edge-a?', checklist: [], command: 'store delete edge-a' }

  test('is its question, without the words for a console', () => {
    const html = render({ confirm, text: 'Delete edge-a? Repeat with --confirm edge-a.', fields: [{ label: 'Images', value: '3' }] })
    expect(html).toContain('<p class="text">Delete edge-a?</p>')
    // The facts of the plan stand in the confirmation.
    expect(html).not.toContain('<dl')
  })

  test('is what has changed, when something has', () => {
    expect(render({ confirm, text: 'The plan has changed.' })).toContain('<p class="text">The plan has changed.</p>')
  })
})

describe('a fact', () => {
  test('has its tone, leads to what it names, and has a line of its own if it is a sentence', () => {
    const fields = [
      { label: 'Store', value: 'edge-a', tone: 'bad' as const },
      { label: 'Reason', value: 'It is full.', isLine: true as const },
    ]
    const html = render({ fields }, { cellHref: (label, key, text) => (label === 'Store' ? `/${key}/${text}` : undefined) })
    expect(html).toContain(
      '<dl class="fields"><div class=""><dt>Store</dt><dd><span class="glyph bad" aria-hidden="true">✖</span> <span class="unseen">Problem: </span><a href="//edge-a">edge-a</a></dd></div>' +
        '<div class="line"><dt>Reason</dt><dd>It is full.</dd></div></dl>',
    )
  })

  test.each([
    ['https://x.example/a?b=1', '<a href="https://x.example/a?b=1">'],
    ['http://x.example', '<a href="http://x.example/">'],
    ['see https://x.example', undefined],
    ['https://x.example and more', undefined],
    ['javascript:alert(1)', undefined],
    ['https://', undefined],
  ])('of an answer for one person leads to %s only if it is a whole address', (value, link) => {
    const fields = [{ label: 'Link', value }]
    const html = render({ fields, isPrivate: true }, { cellHref: () => '/cell' })
    expect(html).not.toContain('/cell')
    if (link === undefined) expect(html).not.toContain('<a ')
    else expect(html).toContain(link)
    expect(render({ fields })).not.toContain('<a ')
  })
})

describe('the bar of a task', () => {
  const task: Task = {
    ...{ id: 'tsk_00000000000000000000000001', kind: 'sync', state: 'running', subject: 'edge-a', createdBy: 'admin' },
    ...{ createdAt: '2026-01-01T00:00:00.000Z', endedAt: null, progress: { done: 3, total: 4, unit: 'images', rate: 0, etaSeconds: null } },
  }
  const withProgress = (done: number, total: number | null, state: Task['state'] = 'running') => ({
    store: 'edge-a',
    task: { ...task, state, progress: { ...task.progress, done, total } },
  })

  test.each([
    [3, 4, 'max="4" value="3"', '3 of 4 images (75 %)'],
    [5, 4, 'max="4" value="4"', '5 of 4 images (125 %)'],
    [0, 1, 'max="1" value="0"', '0 of 1 images (0 %)'],
    [3, null, '', '3 images'],
    [0, 0, '', '0 of 0 images'],
  ])('shows %p of %p', (done, total, attributes, words) => {
    const html = render({ progress: [withProgress(done, total)] })
    expect(html).toContain(
      `<p class="progress"><progress aria-label="sync in edge-a"${attributes === '' ? '' : ` ${attributes}`}></progress> edge-a running: ${words}</p>`,
    )
  })

  test('leads to the task, and is there for tasks of rows too, but not for those that have ended', () => {
    const html = render(
      { progress: [withProgress(1, 2), withProgress(2, 2, 'succeeded')], bars: [withProgress(0, 9, 'queued'), withProgress(9, 9, 'failed')] },
      { cellHref: (label, key, text) => `/${label}/${key}/${text}` },
    )
    expect(html.match(/<progress/g)).toHaveLength(2)
    expect(html).toContain('<a href="/Task/id/tsk_00000000000000000000000001">edge-a running: 1 of 2 images (50 %)</a>')
    expect(html).toContain('edge-a queued: 0 of 9 images (0 %)')
  })
})

test('notes are warnings in a list', () => {
  expect(render({ notes: ['edge-b does not answer.'] })).toContain(
    '<ul class="notes" aria-label="Notes"><li><span class="glyph warning" aria-hidden="true">▲</span> <span class="unseen">Warning: </span>edge-b does not answer.</li></ul>',
  )
})

describe('charts', () => {
  const chart = { name: 'used', title: 'Used', unit: 'bytes', kind: 'lines', startMs: 0, stepMs: 1, lines: [], summary: 'It grows.' } as const

  test('are figures that a script fills from an address', () => {
    expect(render({ charts: [chart] }, { seriesHref: '/series' })).toContain(
      '<div class="charts" data-charts="/series"><figure class="chart" data-chart="used"><figcaption>Used</figcaption><div class="plot" aria-hidden="true" hidden=""></div></figure>' +
        '<p class="chart-age" role="status"></p></div>',
    )
  })

  test('are left out where nobody serves their figures, or there are none', () => {
    expect(render({ charts: [chart] })).not.toContain('chart')
    expect(render({ charts: [] }, { seriesHref: '/series' })).not.toContain('chart')
    expect(render({}, { seriesHref: '/series' })).not.toContain('chart')
  })
})
