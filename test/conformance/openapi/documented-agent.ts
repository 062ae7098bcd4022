// The OpenAPI document of a running agent, as files for external tools.

import type { OpenApiDocument } from '../../../agent/http/openapi/document.ts'
import { startAgent } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'

export interface DocumentedAgent extends AsyncDisposable {
  readonly agent: AgentProcess
  /** Has `openapi.json`, and `strict.json` without the `default` answers, so that a status that is not documented is seen. */
  readonly folder: TemporaryFolder
  /** Runs a program in the folder. Returns its exit code, and its output if the code is not 0. */
  run(command: readonly string[], ms: number): Promise<{ readonly code: number | string; readonly output: string }>
}

/** Starts an agent, and writes its document. */
export async function startDocumentedAgent(): Promise<DocumentedAgent> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  // Orders of sync name any host there is: none but this machine may be connected to.
  const agent = stack.use(await startAgent(folder.path, { config: '[sync]\npeers = ["127.0.0.0/8"]\n' }))
  const answer = await fetch(`${agent.url}/v1/openapi.json`, { headers: agent.headers() })
  const document = (await answer.json()) as OpenApiDocument
  await Bun.write(folder.file('openapi.json'), JSON.stringify(document))
  await Bun.write(folder.file('strict.json'), JSON.stringify(withoutDefaults(document)))
  const opened = stack.move()
  return {
    agent,
    folder,
    async run(command, ms) {
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
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}

function withoutDefaults(document: OpenApiDocument): unknown {
  const copy = structuredClone(document) as { paths: Record<string, Record<string, { responses: Record<string, unknown> }>> }
  for (const operations of Object.values(copy.paths)) for (const { responses } of Object.values(operations)) delete responses['default']
  return copy
}
