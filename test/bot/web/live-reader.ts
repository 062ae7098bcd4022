// Reads the stream of a live page as the script of the page does.

import type { TestPage, Visitor } from './fixture.ts'
import type { PartChange } from '../../../bot/web/live/changes.ts'

export interface LiveReader {
  readonly status: number
  /** The body of an answer that is no stream. */
  readonly text: string
  /** Returns the next event; undefined when the stream has ended. */
  next(): Promise<{ readonly event: string; readonly data: SentFacts } | undefined>
  cancel(): Promise<void>
}

export interface SentFacts {
  readonly mark: string
  readonly parts: readonly PartChange[]
  readonly news: string
  /** Of the last event. */
  readonly text: string
  readonly isFinal: boolean
}

/** Opens a place and its stream; `fields` replace those that the page says. */
export async function openLive(page: TestPage, visitor: Visitor, path: string, fields: Readonly<Record<string, string>> = {}): Promise<LiveReader> {
  return openLiveOf(page, visitor, (await visitor.get(path)).text, { for: path, ...fields })
}

/** Opens the stream that a page names; `fields` replace those that it says. */
export async function openLiveOf(page: TestPage, visitor: Visitor, html: string, fields: Readonly<Record<string, string>> = {}): Promise<LiveReader> {
  const said = (name: string): string => new RegExp(`<main [^>]*data-${name}="([^"]*)"`).exec(html)?.[1] ?? 'none'
  const query = new URLSearchParams({ for: said('for'), mark: said('live') })
  for (const [, version = ''] of html.matchAll(/data-part="([^"]*)"/g)) query.append('has', version)
  for (const [name, value] of Object.entries(fields)) query.set(name, value)
  return openStream(page, visitor, `/live?${query.toString()}`)
}

/** Opens a stream by its address. */
export async function openStream(page: TestPage, { cookie }: Pick<Visitor, 'cookie'>, address: string): Promise<LiveReader> {
  const answer = await page.request(address, { headers: { cookie } })
  const { status } = answer
  if (status !== 200 || !answer.body) return { status, text: await answer.text(), next: () => Promise.resolve(undefined), cancel: () => Promise.resolve() }
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  return {
    status,
    text: '',
    async next() {
      for (;;) {
        const end = rest.indexOf('\n\n')
        const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(rest.slice(0, Math.max(0, end))) ?? []
        if (end >= 0) rest = rest.slice(end + 2)
        if (event !== undefined && data !== undefined) return { event, data: JSON.parse(data) as SentFacts }
        if (end >= 0) continue
        const { done, value } = await reader.read()
        if (done) return undefined
        rest += value
      }
    },
    cancel: () => reader.cancel(),
  }
}
