// The method of a request after X-HTTP-Method-Override. It is resolved once, before routing, so that the access rule of the
// method that runs is the one that is enforced.

import { problem } from '../../protocol/problems.ts'

/** Methods that the header may name. OPTIONS is not among them: it is open to everybody. */
const OVERRIDES: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])
/** Characters of a wrong header that its refusal repeats. */
const SHOWN_MAX = 32

/**
 * The method to route by. The override counts on POST only, in any case of letters (tus 1.0.0, "X-HTTP-Method-Override"). Throws ProblemError
 * `invalid-input` for one that names no method of this interface, and for one on another method than POST that names a different method:
 * its sender would take the answer for that of the method it named.
 */
export function resolveMethod(request: Request): string {
  const text = request.headers.get('x-http-method-override')
  if (text === null) return request.method
  const named = text.trim().toUpperCase()
  if (!OVERRIDES.has(named)) {
    throw problem('invalid-input', `X-HTTP-Method-Override must name one of ${[...OVERRIDES].join(', ')}, not ${JSON.stringify(text.slice(0, SHOWN_MAX))}.`)
  }
  if (request.method !== 'POST' && request.method !== named) {
    throw problem('invalid-input', `X-HTTP-Method-Override ${named} came with ${request.method}: it is honoured on POST only.`)
  }
  return named
}
