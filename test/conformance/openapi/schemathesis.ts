// Schemathesis: an agent keeps to its OpenAPI document in everything that the document allows and forbids.

import { expect } from 'bun:test'
import { join } from 'node:path'
import { TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { requireProgram } from '../../support/require.ts'
import { startDocumentedAgent } from './documented-agent.ts'

/** Generated requests of each operation and kind; a few thousand in all. */
const EXAMPLES_MAX = 5
const FUZZ_MS_MAX = 600_000
/** Divides the paths into two parts that take about as long. */
const IMAGE_PATHS = '/(?:images|uploads)'
const PATH_OPTIONS = { images: ['--include-path-regex', IMAGE_PATHS], others: ['--exclude-path-regex', IMAGE_PATHS] } as const

export interface SchemathesisPart {
  readonly phases: readonly ('examples' | 'coverage' | 'fuzzing' | 'stateful')[]
  /** Which paths are asked: those of images and uploads, or all others. Every path by default. */
  readonly paths?: keyof typeof PATH_OPTIONS
}

/** Declares the test of a part of what Schemathesis sends. Each has an agent of its own, so that parts in different files run at the same time. */
export function testWithSchemathesis(name: string, { phases, paths }: SchemathesisPart): void {
  requireProgram('st', 'python3 -m pip install schemathesis==4.32.5')(
    `the agent keeps to its document in ${name}`,
    async () => {
      await using documented = await startDocumentedAgent()
      const { agent, run } = documented
      await createImage(agent, '0')
      const config = join(import.meta.dir, 'schemathesis.toml')
      const options = ['--url', agent.url, '--header', `Authorization: Bearer ${TEST_ADMIN_TOKEN}`, '--checks', 'all', '--suppress-health-check', 'all']
      const bounds = ['--max-examples', String(EXAMPLES_MAX), '--seed', process.env['SLIPWAY_SEED'] ?? '1', '--request-timeout', '30', '--no-color']
      const part = ['--phases', phases.join(','), ...(paths ? PATH_OPTIONS[paths] : [])]
      const command = ['st', '--config-file', config, 'run', 'strict.json', ...part, ...options, ...bounds]
      expect(await run(command, FUZZ_MS_MAX)).toEqual({ code: 0, output: '' })
      expect(failedRequests(agent.log())).toEqual([])
    },
    FUZZ_MS_MAX,
  )
}

/** An image whose name is among the first that generated requests ask for. */
async function createImage(agent: AgentProcess, name: string): Promise<void> {
  const headers = {
    'tus-resumable': '1.0.0',
    'upload-length': '4096',
    'content-type': 'application/offset+octet-stream',
    'upload-metadata': `name ${btoa(name)}`,
  }
  const made = await fetch(`${agent.url}/v1/uploads`, { method: 'POST', headers: agent.headers(headers), body: new Uint8Array(4096).fill(7) })
  expect(made.status).toBe(201)
}

/** Requests that ended in an error the agent did not expect. A task that fails is a result and no such error. */
function failedRequests(log: string): string[] {
  return log.split('\n').filter((line) => line.includes('"level":50') && line.includes('"part":"http"'))
}
