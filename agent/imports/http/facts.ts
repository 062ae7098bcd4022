// What the head of an answer says about the source: length, version, name. And which answers are refusals.

import { problem } from '../../../protocol/problems.ts'
import { SourceInterrupted } from '../source.ts'
import type { SourceFacts } from '../source.ts'
import type { HttpResponse } from './response.ts'

/** Longest file name in characters. */
const FILENAME_LENGTH_MAX = 255
/** Answers after which another attempt may succeed (RFC 9110 §15, RFC 6585 §4). */
const TEMPORARY_STATUSES: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504])

/** Throws for an answer that is not content: SourceInterrupted when another attempt may succeed, else ProblemError. Never names what its body says. */
export function requireContent({ status, headers }: Pick<HttpResponse, 'status' | 'headers'>): void {
  if (TEMPORARY_STATUSES.has(status)) throw new SourceInterrupted(`its server answered with status ${status}`)
  if (status !== 200 && status !== 206) throw problem('source-refused', `The server of the source answered with status ${status}.`)
  const coding = headers.get('content-encoding')?.toLowerCase() ?? 'identity'
  if (coding !== 'identity') {
    throw problem('source-refused', 'The server sends the source with a Content-Encoding, although the request asks for none.', {
      action: 'Import from an address that serves the file as it is.',
    })
  }
}

/** The part that an answer brings (RFC 9110 §14.4). */
export interface ContentRange {
  readonly start: number
  /** Offset after the last byte. */
  readonly end: number
  /** Length of the whole source; null when the server does not tell. */
  readonly total: number | null
}

/** Returns the range of an answer with status 206; undefined for another answer, and for one without a valid range. */
export function contentRange({ status, headers }: Pick<HttpResponse, 'status' | 'headers'>): ContentRange | undefined {
  const match = status === 206 ? /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i.exec(headers.get('content-range') ?? '') : null
  if (!match) return undefined
  const [start, last, total] = [Number(match[1]), Number(match[2]), match[3] === '*' ? null : Number(match[3])]
  return last < start || (total !== null && last >= total) ? undefined : { start, end: last + 1, total }
}

/**
 * Returns text that identifies the version of the source: its strong entity tag (RFC 9110 §8.8.3), else its modification time; null without both. A
 * weak entity tag does not promise the same bytes.
 */
export function validatorOf(headers: HttpResponse['headers']): string | null {
  const tag = headers.get('etag') ?? ''
  if (/^"[\x21\x23-\x7e]{0,512}"$/.test(tag)) return `etag ${tag}`
  const modified = headers.get('last-modified') ?? ''
  return /^[\w, :+-]{1,64}$/.test(modified) ? `modified ${modified}` : null
}

/** Returns the value of If-Range for a validator of `validatorOf` (RFC 9110 §13.1.5). */
export function ifRange(validator: string): string {
  return validator.slice(validator.indexOf(' ') + 1)
}

/** Returns what an answer to a request for the first byte says about the source. */
export function factsOf(response: HttpResponse, url: URL): SourceFacts {
  const { headers } = response
  const range = contentRange(response)
  const validator = validatorOf(headers)
  const length = range ? range.total : response.length
  return { length, filename: filenameOf(headers, url), validator, canResume: range?.start === 0 && length !== null && validator !== null }
}

/** Returns the name that the server gives the file (RFC 6266), else the last part of the path; null when there is none. */
function filenameOf(headers: HttpResponse['headers'], url: URL): string | null {
  const disposition = headers.get('content-disposition') ?? ''
  const extended = /;\s*filename\*=utf-8''([^;\s]+)/i.exec(disposition)?.[1]
  const plain = /;\s*filename="?([^";]+)"?/i.exec(disposition)?.[1]
  const name = extended === undefined ? (plain ?? decoded(url.pathname.split('/').at(-1) ?? '')) : decoded(extended)
  const last = name.split(/[/\\]/).at(-1) ?? ''
  return last.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\ufeff]/g, '').slice(0, FILENAME_LENGTH_MAX) || null
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    // A % that encodes nothing.
    return text
  }
}
