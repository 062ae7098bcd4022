// The request of each call of the client: method, path, query and body.

import { expect, test } from 'bun:test'
import { createAgentClient } from '../../../protocol/client/client.ts'
import type { AgentClient } from '../../../protocol/client/agent-client.ts'

/** Runs a call on a client whose requests are refused; returns the requests as lines. */
async function requestsOf(run: (agent: AgentClient) => unknown): Promise<string[]> {
  const lines: string[] = []
  const fetch = async (url: string, init: RequestInit = {}): Promise<Response> => {
    const { pathname, search } = new URL(url)
    const accept = new Headers(init.headers).get('accept')
    const isBinary = accept !== null && !accept.includes('json') && accept !== '*/*'
    lines.push([init.method ?? 'GET', pathname + search, ...(typeof init.body === 'string' ? [init.body] : []), ...(isBinary ? [accept] : [])].join(' '))
    return new Response(null, { status: 418 })
  }
  const result = run(createAgentClient({ baseUrl: 'http://agent', token: 't', fetch }))
  const isList = typeof result === 'object' && result !== null && Symbol.asyncIterator in result
  await (isList ? (result as AsyncIterable<unknown>)[Symbol.asyncIterator]().next() : (result as Promise<unknown>)).catch(() => {})
  return lines
}

const CALLS: readonly (readonly [request: string, run: (agent: AgentClient) => unknown])[] = [
  ['GET /v1/health', (agent) => agent.health()],
  ['GET /v1/store', (agent) => agent.store.get()],
  ['GET /v1/store', (agent) => agent.store.identify()],
  ['PATCH /v1/store {"description":"x"}', (agent) => agent.store.patch({ description: 'x' })],
  ['POST /v1/store/enable', (agent) => agent.store.enable()],
  ['POST /v1/store/disable {"reason":""}', (agent) => agent.store.disable()],
  ['POST /v1/store/disable {"reason":"disks"}', (agent) => agent.store.disable('disks')],
  ['POST /v1/store/reconnect', (agent) => agent.store.reconnect()],
  ['POST /v1/store/cleanup {"dryRun":false}', (agent) => agent.store.cleanup()],
  ['POST /v1/store/cleanup {"dryRun":true}', (agent) => agent.store.cleanup(true)],
  ['POST /v1/store/reconcile {}', (agent) => agent.store.reconcile()],
  ['GET /v1/images?status=available', (agent) => agent.images.list({ status: 'available' })],
  ['GET /v1/images', (agent) => agent.images.all()],
  ['GET /v1/images/a%2Fb', (agent) => agent.images.get('a/b')],
  ['PATCH /v1/images/i {"description":"x"}', (agent) => agent.images.patch('i', { description: 'x' })],
  ['DELETE /v1/images/i', (agent) => agent.images.delete('i')],
  ['DELETE /v1/images/i?permanent=true', (agent) => agent.images.delete('i', { permanent: true })],
  ['POST /v1/images/i/restore', (agent) => agent.images.restore('i')],
  ['POST /v1/unique-size {"images":["i"]}', (agent) => agent.images.uniqueSize(['i'])],
  ['PUT /v1/images/i/bindings/vm', (agent) => agent.images.bind('i', 'vm')],
  ['DELETE /v1/images/i/bindings/vm', (agent) => agent.images.unbind('i', 'vm')],
  ['PUT /v1/images/i/grants/user%3Aann', (agent) => agent.images.grant('i', 'user:ann')],
  ['DELETE /v1/images/i/grants/user%3Aann', (agent) => agent.images.revoke('i', 'user:ann')],
  ['POST /v1/images/i/exports {}', (agent) => agent.images.export('i')],
  ['POST /v1/images/i/exports {"dryRun":true}', (agent) => agent.images.planExport('i')],
  ['DELETE /v1/host-keys/h', (agent) => agent.hostKeys.forget('h')],
  ['GET /v1/host-keys', (agent) => agent.hostKeys.all()],
  ['GET /v1/media-groups', (agent) => agent.mediaGroups.all()],
  ['DELETE /v1/media-groups/m', (agent) => agent.mediaGroups.delete('m')],
  ['GET /v1/exports', (agent) => agent.exports.all()],
  ['GET /v1/exports/e', (agent) => agent.exports.get('e')],
  ['DELETE /v1/exports/e', (agent) => agent.exports.delete('e')],
  ['GET /v1/files?path=', (agent) => agent.files.list()],
  ['GET /v1/tasks/t', (agent) => agent.tasks.get('t')],
  ['POST /v1/tasks/t/cancel', (agent) => agent.tasks.cancel('t')],
  ['POST /v1/tasks/t/retry', (agent) => agent.tasks.retry('t')],
  ['POST /v1/tasks/t/pause', (agent) => agent.tasks.pause('t')],
  ['POST /v1/tasks/t/resume', (agent) => agent.tasks.resume('t')],
  ['PATCH /v1/schedules/scrub {"paused":true}', (agent) => agent.schedules.patch('scrub', { paused: true })],
  ['POST /v1/schedules/scrub/run', (agent) => agent.schedules.run('scrub')],
  ['POST /v1/tokens/t/rotate', (agent) => agent.tokens.rotate('t')],
  ['DELETE /v1/tokens/t', (agent) => agent.tokens.delete('t')],
  ['GET /v1/links/l', (agent) => agent.links.get('l')],
  ['DELETE /v1/links/l', (agent) => agent.links.revoke('l')],
  ['DELETE /v1/uploads/u', (agent) => agent.uploads.cancel('u')],
  ['POST /v1/slices/missing {"digests":["d"]}', (agent) => agent.slices.missing(['d'])],
  ['POST /v1/slices/fetch {"digests":["d"]} application/vnd.slipway.slices', (agent) => agent.slices.fetch(['d'])],
  ['POST /v1/slices/fetch {"digests":["d"],"image":"i"} application/vnd.slipway.slices', (agent) => agent.slices.fetch(['d'], { image: 'i' })],
  [
    'POST /v1/slices/fetch {"digests":["d"],"image":"i","absent":true} application/vnd.slipway.slices',
    (agent) => agent.slices.fetchPresent(['d'], { image: 'i' }),
  ],
]

test.each(CALLS)('%s', async (request, run) => {
  const [first] = await requestsOf(run)
  expect(first).toBe(request)
})
