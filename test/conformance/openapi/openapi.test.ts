// The OpenAPI document of a running agent, checked by external tools: the recommended rules of redocly and spectral, and
// Schemathesis, which sends requests that the document allows and forbids and compares the answers with it.

import { afterAll, beforeAll, describe, expect } from 'bun:test'
import { join } from 'node:path'
import type { OpenApiDocument } from '../../../agent/http/openapi/document.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { requireProgram, requireTool } from '../../support/require.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'

const BIN = join(import.meta.dir, '../../../node_modules/.bin')
/** Generated requests of each operation and kind; a few thousand in all. */
const EXAMPLES_MAX = 5
const FUZZ_MS_MAX = 600_000

let folder: TemporaryFolder
let agent: AgentProcess

beforeAll(async () => {
  folder = await createTemporaryFolder()
  // Orders of sync name any host there is: none but this machine may be connected to.
  agent = await startAgent(folder.path, { config: '[sync]\npeers = ["127.0.0.0/8"]\n' })
  const answer = await fetch(`${agent.url}/v1/openapi.json`, { headers: agent.headers() })
  const document = (await answer.json()) as OpenApiDocument
  await Bun.write(folder.file('openapi.json'), JSON.stringify(document))
  await Bun.write(folder.file('strict.json'), JSON.stringify(withoutDefaults(document)))
  await Bun.write(folder.file('redocly.yaml'), 'extends: [recommended]\n')
  await Bun.write(folder.file('spectral.yaml'), 'extends: ["spectral:oas"]\n')
  await createImage('0')
})
afterAll(async () => {
  await agent[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

/** The document without its `default` answers, so that a status that is not documented is seen. */
function withoutDefaults(document: OpenApiDocument): unknown {
  const copy = structuredClone(document) as { paths: Record<string, Record<string, { responses: Record<string, unknown> }>> }
  for (const operations of Object.values(copy.paths)) for (const { responses } of Object.values(operations)) delete responses['default']
  return copy
}

/** An image whose name is among the first that generated requests ask for. */
async function createImage(name: string): Promise<void> {
  const headers = {
    'tus-resumable': '1.0.0',
    'upload-length': '4096',
    'content-type': 'application/offset+octet-stream',
    'upload-metadata': `name ${btoa(name)}`,
  }
  const made = await fetch(`${agent.url}/v1/uploads`, { method: 'POST', headers: agent.headers(headers), body: new Uint8Array(4096).fill(7) })
  expect(made.status).toBe(201)
}

/** Runs a program in the folder of the test. Returns its exit code, and its output if the code is not 0. */
async function run(command: readonly string[], ms: number): Promise<{ code: number | string; output: string }> {
  const child = Bun.spawn([...command], {
    cwd: folder.path,
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    env: { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true', NO_COLOR: '1' },
    timeout: ms,
    killSignal: 'SIGKILL',
  })
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited])
  const code = child.signalCode ?? child.exitCode ?? -1
  return { code, output: code === 0 ? '' : `${stdout}\n${stderr}`.slice(-20_000) }
}

describe('the OpenAPI document', () => {
  const nodeTest = requireTool('node', 'nodejs')

  nodeTest('has no error or warning by the recommended rules of redocly', async () => {
    const command = [join(BIN, 'redocly'), 'lint', 'openapi.json', '--config', 'redocly.yaml', '--format', 'json']
    const { stdout } = Bun.spawn(command, { cwd: folder.path, stderr: 'ignore', env: { ...process.env, REDOCLY_TELEMETRY: 'off', NO_COLOR: '1' } })
    const { totals, problems } = JSON.parse(await new Response(stdout).text()) as { totals: { errors: number; warnings: number }; problems: unknown[] }
    expect([totals.errors, totals.warnings, problems]).toEqual([0, 0, []])
  })

  nodeTest("has no finding by spectral's rules for OpenAPI", async () => {
    const command = [join(BIN, 'spectral'), 'lint', 'openapi.json', '--ruleset', 'spectral.yaml', '--fail-severity', 'hint']
    expect(await run(command, 60_000)).toEqual({ code: 0, output: '' })
  })

  nodeTest('is read by both', async () => {
    await Bun.write(folder.file('wrong.json'), '{"openapi":"3.1.0","info":{"title":"x","version":"1"},"paths":{"/a":{"get":{"responses":{}}}}}')
    expect((await run([join(BIN, 'redocly'), 'lint', 'wrong.json', '--config', 'redocly.yaml'], 60_000)).code).toBe(1)
    expect((await run([join(BIN, 'spectral'), 'lint', 'wrong.json', '--ruleset', 'spectral.yaml', '--fail-severity', 'hint'], 60_000)).code).toBe(1)
  })
})

describe('the agent', () => {
  requireProgram('st', 'python3 -m pip install schemathesis==4.32.5')(
    'keeps to its document in everything that Schemathesis sends',
    async () => {
      const config = join(import.meta.dir, 'schemathesis.toml')
      const options = ['--url', agent.url, '--header', `Authorization: Bearer ${TEST_ADMIN_TOKEN}`, '--checks', 'all', '--suppress-health-check', 'all']
      const bounds = ['--max-examples', String(EXAMPLES_MAX), '--seed', process.env['SLIPWAY_SEED'] ?? '1', '--request-timeout', '30', '--no-color']
      expect(await run(['st', '--config-file', config, 'run', 'strict.json', ...options, ...bounds], FUZZ_MS_MAX)).toEqual({ code: 0, output: '' })
      expect(failedRequests(agent.log())).toEqual([])
    },
    FUZZ_MS_MAX,
  )
})

/** Requests that ended in an error the agent did not expect. A task that fails is a result and no such error. */
function failedRequests(log: string): string[] {
  return log.split('\n').filter((line) => line.includes('"level":50') && line.includes('"part":"http"'))
}
