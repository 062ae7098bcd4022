// The series of charts as JSON at `/series/<noun>/<verb>/<target>`: what the command at `/c/…` with the same words draws. The number of points is that of the command.

import type { Hono } from 'hono'
import type { Chart } from '../../../protocol/views/chart.ts'
import { mayRun, permit } from '../../commands/permit.ts'
import { changesSomething } from '../../commands/record.ts'
import { runParsed } from '../../commands/run.ts'
import { parseRequest, requestAt } from '../command-words.ts'
import type { PageVariables } from '../session-context.ts'

/** Path below which the series are. */
const SERIES_PATH = '/series/'

/** Adds the route. */
export function addSeries(app: Hono<{ Variables: PageVariables }>): void {
  app.get(`${SERIES_PATH}*`, async (c) => {
    const context = { ...c.get('context'), signal: c.req.raw.signal }
    const url = new URL(c.req.url)
    const request = requestAt(context.commands, `/c/${url.pathname.slice(SERIES_PATH.length)}`, [...url.searchParams])
    if (request && !mayRun(context, request.command)) return c.json({ error: 'forbidden' }, 403)
    const parsed = request && parseRequest(context.commands, request)
    // Opening an address never changes anything, and only a command that can draw charts is run.
    if (parsed?.kind !== 'command' || changesSomething(parsed.command, parsed.input) || parsed.input.options['chart'] === undefined) return c.notFound()
    if (permit(context, parsed.command, parsed.input).kind === 'refused') return c.json({ error: 'forbidden' }, 403)
    const view = await runParsed(context, parsed)
    if (view.outcome !== 'done' || !view.charts) return c.notFound()
    return c.json({ charts: view.charts.map(seriesOf) })
  })
}

/** What the script draws. Whole numbers are enough for what is counted in bytes. */
function seriesOf({ name, unit, kind, startMs, stepMs, lines }: Chart) {
  const isWhole = unit === 'bytes' || unit === 'bytes/s' || unit === 'count'
  const rounded = (value: number | null): number | null => (value === null ? null : isWhole ? Math.round(value) : Number(value.toFixed(2)))
  return { name, unit, kind, startMs, stepMs, lines: lines.map(({ values, ...line }) => ({ ...line, values: values.map(rounded) })) }
}
