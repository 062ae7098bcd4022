// Reads JSON bodies of requests, with limits on the length of each body and on the total memory of bodies being read.

import { joinBytes } from '../../protocol/bytes.ts'
import { problem } from '../../protocol/problems.ts'
import type { Actor } from '../contract/access.ts'

/** Longest JSON body in bytes that a route reads by default. */
export const JSON_BODY_MAX = 64 * 1024
/** Bodies up to this length in bytes are not counted: the number of connections bounds them. */
export const UNCOUNTED_BODY_MAX = 16 * 1024
/** Most bytes of all bodies being read, and of the bodies of one caller, so that a slow caller leaves room for others. */
export const BODIES_BYTES_MAX = 32 * 1024 * 1024
export const BODIES_BYTES_PER_ACTOR_MAX = 8 * 1024 * 1024

/** Deepest nesting of a JSON body, and most values in it: a parsed `[` takes a hundred bytes of memory. */
export const JSON_DEPTH_MAX = 32
export const JSON_VALUES_MAX = 16_384

/** Memory budget of the bodies being read. */
export interface BodyRoom {
  /** Reserves memory for a body of this many bytes until disposed. Throws ProblemError `limit-reached`. */
  take(actor: Actor, bytes: number): Disposable
}

/** Creates the budget of one application. */
export function createBodyRoom(): BodyRoom {
  const byActor = new Map<string, number>()
  let total = 0
  return {
    take(actor, bytes) {
      const key = actor.link?.id ?? actor.tokenId ?? actor.name
      const taken = byActor.get(key) ?? 0
      if (total + bytes > BODIES_BYTES_MAX || taken + bytes > BODIES_BYTES_PER_ACTOR_MAX) {
        throw problem('limit-reached', 'Too many large JSON bodies are being sent at the same time.', { action: 'Wait until earlier requests are answered.' })
      }
      total += bytes
      byActor.set(key, taken + bytes)
      return {
        [Symbol.dispose]() {
          total -= bytes
          const left = (byActor.get(key) ?? 0) - bytes
          if (left === 0) byActor.delete(key)
          else byActor.set(key, left)
        },
      }
    },
  }
}

export interface JsonBodyLimits {
  readonly room: BodyRoom
  readonly actor: Actor
  /** Longest body in bytes. */
  readonly lengthMax: number
}

/**
 * Reads a JSON body; an empty body is an empty object. Throws ProblemError `payload-too-large`, `invalid-input`,
 * `unsupported-media-type` or `limit-reached`.
 */
export async function readJson(request: Request, limits: JsonBodyLimits): Promise<unknown> {
  const type = request.headers.get('content-type')
  const text = await readText(request, limits)
  if (text === '') return {}
  try {
    return JSON.parse(text)
  } catch (error) {
    // JSON is accepted with any media type (curl -d declares a form). That is safe, since browsers add no credential by themselves
    // that a route with a JSON body accepts.
    if (type !== null && !/^application\/(?:[\w.-]+\+)?json\b/i.test(type))
      throw problem('unsupported-media-type', `The body must be application/json, not ${type}.`, {}, { cause: error })
    throw problem('invalid-input', 'The body is not valid JSON.', {}, { cause: error })
  }
}

async function readText(request: Request, { room, actor, lengthMax }: JsonBodyLimits): Promise<string> {
  const tooLong = () => problem('payload-too-large', `The body is longer than the limit of ${lengthMax} bytes.`)
  const announced = request.headers.get('content-length')
  const length = announced === null ? lengthMax : Number(announced)
  if (length > lengthMax) throw tooLong()
  if (!request.body) return ''
  using _taken = length > UNCOUNTED_BODY_MAX ? room.take(actor, length) : undefined
  const pieces: Uint8Array[] = []
  let read = 0
  for await (const piece of request.body) {
    read += piece.byteLength
    if (read > lengthMax) throw tooLong()
    pieces.push(piece)
  }
  const bytes = joinBytes(pieces)
  requireModestStructure(bytes)
  return new TextDecoder('utf-8').decode(bytes)
}

/** Refuses text whose values would need far more memory than the text. Does not check whether it is valid JSON. */
function requireModestStructure(bytes: Uint8Array): void {
  let depth = 0
  let values = 1
  let isString = false
  for (let i = 0; i < bytes.byteLength; i++) {
    const byte = bytes[i]
    if (isString) {
      if (byte === BACKSLASH) i++
      else if (byte === QUOTE) isString = false
      continue
    }
    if (byte === QUOTE) isString = true
    else if (byte === COMMA) values++
    else if (byte === OPEN_BRACKET || byte === OPEN_BRACE) {
      depth++
      values++
    } else if (byte === CLOSE_BRACKET || byte === CLOSE_BRACE) depth--
    if (depth > JSON_DEPTH_MAX) throw problem('invalid-input', `The body is nested more than ${JSON_DEPTH_MAX} levels deep.`)
    if (values > JSON_VALUES_MAX) throw problem('invalid-input', `The body has more than ${JSON_VALUES_MAX} values.`)
  }
}

const QUOTE = 0x22
const COMMA = 0x2c
const OPEN_BRACKET = 0x5b
const BACKSLASH = 0x5c
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
