// Lists the problems that an operation may answer with: those that follow from its access, path and body, and those that its route declares.

import { PROBLEMS } from '../../../protocol/problems.ts'
import type { ProblemCode } from '../../../protocol/problems.ts'
import { linkOf } from '../route.ts'
import type { Route } from '../route.ts'

/** Problems that every operation may answer with. */
const OF_ALL: readonly ProblemCode[] = [
  'malformed-request',
  'invalid-input',
  'target-too-long',
  'headers-too-large',
  'limit-reached',
  'internal',
  'store-unavailable',
  'shutting-down',
]

interface ProblemAnswer {
  readonly description: string
  readonly content?: Readonly<Record<string, unknown>>
}

/** Returns the problem answers of a route by status. Each description lists the codes of that status. */
export function describeProblems(route: Route): Readonly<Record<string, ProblemAnswer>> {
  const byStatus = new Map<number, ProblemCode[]>()
  for (const code of new Set(problemsOf(route))) {
    const { status } = PROBLEMS[code]
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  return Object.fromEntries([...byStatus].toSorted(([a], [b]) => a - b).map(([status, codes]) => [status, describeAnswer(route, codes)]))
}

function problemsOf({ method, path, access, body, bodies, problems }: Route): ProblemCode[] {
  const found: ProblemCode[] = [...OF_ALL, 'unauthenticated']
  if (access !== 'public') found.push('forbidden')
  if (linkOf(access) !== undefined) found.push('link-expired')
  if (path.includes(':')) found.push('not-found')
  if (body || Object.keys(bodies).length > 0) found.push('payload-too-large', 'unsupported-media-type', 'request-timeout')
  if (method !== 'GET' && method !== 'HEAD' && method !== 'OPTIONS') found.push('insufficient-storage')
  return [...found, ...problems]
}

function describeAnswer({ method }: Route, codes: readonly ProblemCode[]): ProblemAnswer {
  const description = codes.map((code) => `\`${code}\`: ${PROBLEMS[code].title}`).join('. ')
  // RFC 9110 §9.3.2: an answer to HEAD has no body.
  if (method === 'HEAD') return { description }
  return { description, content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } } }
}
