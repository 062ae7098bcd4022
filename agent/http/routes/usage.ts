// The route that reports usage, as JSON page by page, or as CSV as a whole.

import { roleIncludes } from '../../../protocol/access.ts'
import { problem } from '../../../protocol/problems.ts'
import { USAGE_MONTHS_MAX, usageQuerySchema, usageSchema } from '../../../protocol/images/usage.ts'
import type { Usage, UsageRow } from '../../../protocol/images/usage.ts'
import type { Actor } from '../../contract/access.ts'
import type { Clock } from '../../contract/runtime.ts'
import { formatDisposition } from '../content/content-headers.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

const CSV_TYPE = 'text/csv'
/** Rows of CSV that are sent at once. */
const CSV_PIECE_ROWS = 200

const CSV_COLUMNS = ['month', 'imageId', 'name', 'kind', 'owner', 'from', 'to', 'length', 'storedSize', 'gbHours', 'storedGbHours', 'cost'] as const

interface Range {
  readonly isOwn: boolean
  readonly fromMs: number
  readonly toMs: number
  readonly owner: string | null | undefined
}

export interface UsageRoutesDeps {
  readonly clock: Pick<Clock, 'nowMs'>
  readonly reports: {
    /** Returns sums and one page of rows. Throws ProblemError `limit-reached`. */
    report(range: Range, page: { readonly limit: number; readonly cursor: string | undefined }): Promise<Usage>
    rows(range: Range): AsyncGenerator<UsageRow>
  }
}

/** Returns the route GET /v1/usage. A former owner sees the time until the image changed hands. */
export function usageRoutes({ clock, reports }: UsageRoutesDeps): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/usage',
      access: { role: 'operator', own: 'the usage of this subject' },
      summary: 'Reports how long images were available, and what that costs',
      description: `Below operator, the report covers the images that the subject of the token owns or owned. The range covers at most ${USAGE_MONTHS_MAX} calendar months. Sums cover the whole range; the page limits the rows only. CSV, by \`format=csv\` or \`Accept: text/csv\`, has all rows.`,
      query: usageQuerySchema,
      problems: ['limit-reached'],
      answers: { 200: { description: 'The sums, and one page of rows', schema: usageSchema, streams: [CSV_TYPE] } },
      async run({ query, request, actor }) {
        const { from, to, limit, cursor } = query
        const range = { ...ownerOf(query.owner, actor), ...rangeOf(from, to, clock.nowMs()) }
        const format = query.format ?? (prefersCsv(request.headers.get('accept')) ? 'csv' : 'json')
        const headers = { 'Cache-Control': 'no-store', Vary: 'Accept' }
        if (format === 'json') return Response.json(await reports.report(range, { limit, cursor }), { headers })
        const fileName = `usage-${isoDate(range.fromMs)}-${isoDate(range.toMs)}.csv`
        return new Response(await csvStream(reports.rows(range)), {
          headers: { ...headers, 'Content-Type': `${CSV_TYPE}; charset=utf-8; header=present`, 'Content-Disposition': formatDisposition(fileName) },
        })
      },
    }),
  ]
}

/** Returns the owner on whose images an actor may have a report. Throws ProblemError `forbidden` for the usage of others. */
function ownerOf(asked: string | undefined, { role, subject }: Actor): Pick<Range, 'owner' | 'isOwn'> {
  if (roleIncludes(role, 'operator')) return { owner: asked === undefined ? undefined : asked || null, isOwn: false }
  if (subject === undefined || (asked !== undefined && asked !== subject))
    throw problem('forbidden', `This token reports on the images of ${subject ?? 'nobody'} only.`, { action: 'Leave out owner.', requiredRole: 'operator' })
  return { owner: subject, isOwn: true }
}

/** Returns the range of a query. By default it is the current month in UTC, up to now. Throws ProblemError `invalid-input`. */
function rangeOf(from: string | undefined, to: string | undefined, nowMs: number): { fromMs: number; toMs: number } {
  const now = new Date(nowMs)
  const toMs = to === undefined ? nowMs : Date.parse(to)
  const fromMs = from === undefined ? Date.UTC(now.getUTCFullYear(), now.getUTCMonth()) : Date.parse(from)
  if (fromMs >= toMs) throw problem('invalid-input', 'The range is empty: from must be before to.', { action: 'Name an earlier from, or a later to.' })
  const last = new Date(toMs - 1)
  const first = new Date(fromMs)
  const months = (last.getUTCFullYear() - first.getUTCFullYear()) * 12 + last.getUTCMonth() - first.getUTCMonth() + 1
  if (months > USAGE_MONTHS_MAX)
    throw problem('invalid-input', `The range covers ${months} calendar months; the limit is ${USAGE_MONTHS_MAX}.`, { action: 'Ask for each year by itself.' })
  return { fromMs, toMs }
}

function isoDate(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10)
}

/** Returns whether a client names CSV and does not name JSON before it (RFC 9110 §12.5.1, without weights). */
function prefersCsv(accept: string | null): boolean {
  const types = (accept ?? '').split(',').map((part) => part.split(';')[0]?.trim().toLowerCase())
  const csv = types.indexOf(CSV_TYPE)
  const json = types.indexOf('application/json')
  return csv >= 0 && (json < 0 || csv < json)
}

/** Returns the rows as CSV (RFC 4180). Reads the first rows before it resolves, so that a refusal is answered with a problem. */
async function csvStream(rows: AsyncGenerator<UsageRow>): Promise<ReadableStream<Uint8Array>> {
  const encoder = new TextEncoder()
  const nextPiece = async (): Promise<string> => {
    let piece = ''
    for (let count = 0; count < CSV_PIECE_ROWS; count++) {
      const { value, done } = await rows.next()
      if (done) break
      piece += csvLine(CSV_COLUMNS.map((column) => value[column]))
    }
    return piece
  }
  let piece = csvLine(CSV_COLUMNS) + (await nextPiece())
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (piece === '') return controller.close()
      controller.enqueue(encoder.encode(piece))
      piece = await nextPiece()
    },
    async cancel() {
      await rows.return(undefined)
    },
  })
}

function csvLine(values: readonly (string | number | null)[]): string {
  return `${values.map(csvValue).join(',')}\r\n`
}

/** Quotes a value where needed. A text that a spreadsheet would run as a formula gets an apostrophe in front. */
function csvValue(value: string | number | null): string {
  if (value === null) return ''
  if (typeof value === 'number') return String(value)
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
