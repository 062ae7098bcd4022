// The OpenAPI document of a running agent, checked by the recommended rules of redocly and spectral.

import { afterAll, beforeAll, describe, expect } from 'bun:test'
import { join } from 'node:path'
import { requireTool } from '../../support/require.ts'
import { startDocumentedAgent } from './documented-agent.ts'
import type { DocumentedAgent } from './documented-agent.ts'

const BIN = join(import.meta.dir, '../../../node_modules/.bin')

let documented: DocumentedAgent

beforeAll(async () => {
  documented = await startDocumentedAgent()
  await Bun.write(documented.folder.file('redocly.yaml'), 'extends: [recommended]\n')
  await Bun.write(documented.folder.file('spectral.yaml'), 'extends: ["spectral:oas"]\n')
}, 60_000)
afterAll(() => documented[Symbol.asyncDispose]())

describe('the OpenAPI document', () => {
  const nodeTest = requireTool('node', 'nodejs')

  nodeTest('has no error or warning by the recommended rules of redocly', async () => {
    const command = [join(BIN, 'redocly'), 'lint', 'openapi.json', '--config', 'redocly.yaml', '--format', 'json']
    const { stdout } = Bun.spawn(command, { cwd: documented.folder.path, stderr: 'ignore', env: { ...process.env, REDOCLY_TELEMETRY: 'off', NO_COLOR: '1' } })
    const { totals, problems } = JSON.parse(await new Response(stdout).text()) as { totals: { errors: number; warnings: number }; problems: unknown[] }
    expect([totals.errors, totals.warnings, problems]).toEqual([0, 0, []])
  })

  nodeTest("has no finding by spectral's rules for OpenAPI", async () => {
    const command = [join(BIN, 'spectral'), 'lint', 'openapi.json', '--ruleset', 'spectral.yaml', '--fail-severity', 'hint']
    expect(await documented.run(command, 60_000)).toEqual({ code: 0, output: '' })
  })

  nodeTest('is read by both', async () => {
    await Bun.write(documented.folder.file('wrong.json'), '{"openapi":"3.1.0","info":{"title":"x","version":"1"},"paths":{"/a":{"get":{"responses":{}}}}}')
    expect((await documented.run([join(BIN, 'redocly'), 'lint', 'wrong.json', '--config', 'redocly.yaml'], 60_000)).code).toBe(1)
    expect((await documented.run([join(BIN, 'spectral'), 'lint', 'wrong.json', '--ruleset', 'spectral.yaml', '--fail-severity', 'hint'], 60_000)).code).toBe(1)
  })
})
