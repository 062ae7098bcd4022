// The method of a request after X-HTTP-Method-Override. It is resolved once, before routing, so that the access rule of the method that
// runs is enforced.

import { problem } from '../../protocol/problems.ts'

/** Methods that the header may name. OPTIONS is excluded because it requires no token. */
const OVERRIDES: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])
/** Most characters of an invalid header that the problem quotes. */
const SHOWN_MAX = 32

/**
 * Returns the method to route by. The override applies only to POST, in any letter case (tus 1.0.0, "X-HTTP-Method-Override"). Throws ProblemError
 * `invalid-input` for an override that names an unsupported method, and for one that contradicts a method other than POST, since its sender would
 * take the answer for that of the named method.
 */
export function resolveMethod(request: Request): string {
  const text = request.headers.get('x-http-method-override')
  if (text === null) return request.method
  const named = text.trim().toUpperCase()
  if (!OVERRIDES.has(named)) {
    throw problem('invalid-input', `X-HTTP-Method-Override must name one of ${[...OVERRIDES].join(', ')}, not ${JSON.stringify(text.slice(0, SHOWN_MAX))}.`)
  }
  if (request.method !== 'POST' && request.method !== named) {
    throw problem('invalid-input', `X-HTTP-Method-Override: ${named} was sent with ${request.method}; it applies to POST only.`)
  }
  return named
}
