// The script of pages with charts: it asks for the series of each View and draws them with uPlot, in the colours of the page, once they are nearly in
// sight, and again each minute. The table beside the charts says the same without it.

/** Returns the script, which loads uPlot from an address when there is something to draw. */
export function chartScript(uPlotPath: string): string {
  return `let uPlot
${DRAWING}`.replace('UPLOT_PATH', () => uPlotPath)
}

const DRAWING = `
const MINUTE_MS = 60000
const HEIGHT = 190
const SIZES = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']
const sizeText = (value) => {
  let unit = 0
  while (Math.abs(value) >= 999.5 && unit < SIZES.length - 1) {
    value /= 1000
    unit++
  }
  return value.toFixed(unit === 0 || Math.abs(value) >= 9.95 ? 0 : 1) + ' ' + SIZES[unit]
}
const TEXTS = {
  bytes: sizeText,
  'bytes/s': (value) => sizeText(value) + '/s',
  count: (value) => value.toLocaleString(),
  days: (value) => value.toFixed(1) + ' d',
  percent: (value) => Math.round(value) + ' %',
}
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()
const colourOf = (line, i) => colour(line.tone ? '--' + (line.tone === 'bad' && i === 3 ? 'chart-error' : line.tone) : '--chart-' + (i % 3))
const optionsOf = (chart, width) => {
  const text = TEXTS[chart.unit]
  const axis = { stroke: colour('--dim'), grid: { stroke: colour('--line'), width: 1 }, ticks: { stroke: colour('--line') } }
  const isBand = chart.kind === 'band'
  const lines = chart.lines.map((line, i) => ({ line, i }))
  if (isBand) lines.reverse()
  const series = lines.map(({ line, i }) => ({
    label: line.label,
    stroke: colourOf(line, i),
    width: isBand ? 0 : 2,
    dash: i === 1 ? [6, 4] : i === 2 ? [2, 3] : undefined,
    ...(isBand ? { fill: colourOf(line, i), points: { show: false } } : {}),
    value: (_plot, _value, _series, at) => {
      const value = at === null || at === undefined ? null : line.values[at]
      return value === null || value === undefined ? '\\u2013' : text(value)
    },
  }))
  return {
    width,
    height: HEIGHT,
    scales: { y: { range: (_plot, _low, high) => [0, isBand ? 100 : high > 0 ? high * 1.05 : 1] } },
    axes: [axis, { ...axis, size: 74, values: (_plot, splits) => splits.map(text) }],
    series: [{ label: 'Time' }, ...series],
  }
}
const dataOf = (chart) => {
  const count = chart.lines[0].values.length
  const times = Array.from({ length: count }, (_unused, i) => (chart.startMs + i * chart.stepMs) / 1000)
  if (chart.kind !== 'band') return [times, ...chart.lines.map((line) => line.values)]
  const sums = chart.lines.map((_line, i) => times.map((_time, at) => chart.lines.slice(0, i + 1).reduce((sum, line) => (line.values[at] === null || sum === null ? null : sum + line.values[at]), 0)))
  return [times, ...sums.reverse()]
}
const boxes = new Map()
const draw = (box) => {
  const state = boxes.get(box)
  for (const plot of state.plots.splice(0)) plot.destroy()
  for (const chart of state.charts) {
    const place = box.querySelector('[data-chart="' + chart.name + '"] .plot')
    if (!place) continue
    place.hidden = false
    state.plots.push(new uPlot(optionsOf(chart, place.clientWidth), dataOf(chart), place))
  }
  state.width = box.clientWidth
}
const load = async (box) => {
  const state = boxes.get(box)
  const says = box.querySelector('.chart-age')
  try {
    uPlot ??= (await import('UPLOT_PATH')).default
    const answer = await fetch(box.dataset.charts, { headers: { Accept: 'application/json' } })
    if (!answer.ok) throw new Error(answer.statusText)
    state.charts = (await answer.json()).charts
    state.loadedMs = Date.now()
    if (says.textContent !== '') says.textContent = ''
    draw(box)
  } catch {
    const age = state.loadedMs ? ' The charts are ' + Math.round((Date.now() - state.loadedMs) / 1000) + ' s old.' : ''
    says.textContent = 'The charts could not be loaded.' + age
  }
}
const sized = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const state = boxes.get(target)
    if (state && state.plots.length > 0 && Math.abs(target.clientWidth - state.width) > 1) draw(target)
  }
})
// Drawing takes a slow computer long, so charts below the window wait until somebody scrolls to them.
const sighted = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting || !boxes.has(target)) continue
    sighted.unobserve(target)
    boxes.get(target).isSeen = true
    load(target)
  }
}, { rootMargin: '300px' })
const scan = () => {
  for (const [box, state] of boxes) {
    if (box.isConnected) continue
    for (const plot of state.plots) plot.destroy()
    sized.unobserve(box)
    sighted.unobserve(box)
    boxes.delete(box)
  }
  for (const box of document.querySelectorAll('[data-charts]')) {
    const known = boxes.get(box)
    if (known) {
      // The part was changed around the charts, or with them.
      if (known.plots.some(({ root }) => !root.isConnected)) draw(box)
      continue
    }
    boxes.set(box, { charts: [], plots: [], width: 0, loadedMs: 0, isSeen: false })
    sized.observe(box)
    sighted.observe(box)
  }
}
scan()
// Parts of a page may be replaced while it is open.
new MutationObserver(scan).observe(document.body, { childList: true, subtree: true })
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  for (const box of boxes.keys()) draw(box)
})
setInterval(() => {
  if (document.visibilityState === 'visible') for (const [box, { isSeen }] of boxes) if (isSeen) load(box)
}, MINUTE_MS)
`

/** The style, after that of uPlot. */
export const CHART_STYLE = `
:root { --chart-0: #0b57b5; --chart-1: #b3470a; --chart-2: #14692f; --chart-error: #6d1a7c; }
@media (prefers-color-scheme: dark) { :root { --chart-0: #8ec1ff; --chart-1: #ffb07a; --chart-2: #6fd08c; --chart-error: #e3a1f2; } }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 1rem 1.5rem; margin: .75rem 0; }
.chart { margin: 0; min-width: 0; } .chart figcaption { font-weight: 600; } .chart-age { margin: 0; color: var(--dim); grid-column: 1 / -1; } .chart-age:empty { display: none; }
.chart .u-legend { font-size: .875rem; text-align: left; width: auto; } .chart .u-legend tr, .chart .u-legend th, .chart .u-legend td { display: revert; width: auto; border: 0; padding: .1rem .3rem; margin: 0; }
.chart .u-legend.u-inline tr { display: inline-block; margin-right: .75rem; } .chart .u-legend th > * { display: inline-block; }
`
