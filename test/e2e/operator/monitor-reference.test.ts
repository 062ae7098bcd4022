// docs/monitor.md lists every metric and every health check: its tables are compared with what a real agent reports after a gc and a scrub.

import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { startAgent } from '../../support/agents/agent-process.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

interface Metric {
  readonly type: string
  readonly help: string
  readonly labels: readonly string[]
}

async function sectionOf(heading: string): Promise<string> {
  const text = await Bun.file(join(import.meta.dir, '../../../docs/monitor.md')).text()
  return text.split(`# ${heading}\n`)[1]?.split('\n#')[0] ?? ''
}

async function documentedMetrics(): Promise<Record<string, Metric>> {
  const rows = (await sectionOf('Metrics')).matchAll(/^\| `(\w+)` +\| (\w+) +\| ([^|]+?) +\| ([^|]+?) +\|$/gm)
  return Object.fromEntries(
    [...rows].map(([, name, type = '', labels = '', help = '']) => [name, { type, help, labels: labels === '–' ? [] : labels.split(', ') }]),
  )
}

/** Returns the metrics of a text in the Prometheus format, with all labels of their series. */
function reportedMetrics(text: string): Record<string, Metric> {
  const metrics: Record<string, Metric> = {}
  for (const [, name = '', help = ''] of text.matchAll(/^# HELP (\S+) (.*)$/gm)) {
    const type = new RegExp(`^# TYPE ${name} (\\S+)$`, 'm').exec(text)?.[1] ?? ''
    const suffix = type === 'histogram' ? '(?:_bucket|_sum|_count)' : ''
    const series = [...text.matchAll(new RegExp(`^${name}${suffix}(?:\\{(.*)\\})? \\S+$`, 'gm'))]
    const labels = new Set(series.flatMap(([, pairs = '']) => [...pairs.matchAll(/(\w+)="/g)].map(([, label = '']) => label)))
    metrics[name] = { type, help, labels: [...labels] }
  }
  return metrics
}

describe('monitor.md', () => {
  test('has exactly the metrics of an agent, with name, type, labels and help', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.path)
    const ask = (path: string, method = 'GET'): Promise<Response> => fetch(`${agent.url}${path}`, { method, headers: agent.headers() })
    await ask('/v1/schedules/scrub/run', 'POST')
    await ask('/v1/schedules/cleanup/run', 'POST')
    let text = ''
    await until('both have run', async () => {
      text = await (await ask('/metrics')).text()
      return /^slipway_scrub_last_findings \d/m.test(text) && /^slipway_gc_last_freed_bytes \d/m.test(text)
    })
    expect(reportedMetrics(text)).toEqual(await documentedMetrics())
  })

  test('has exactly one row for every health check', async () => {
    await using folder = await createTemporaryFolder()
    // The check `origins` exists with an origin only.
    await using agent = await startAgent(folder.path, { config: '[[origins]]\nname = "hub"\nurl = "http://127.0.0.1:9"\ntoken = "viewer"\n' })
    const { checks } = await agent.client.health()
    const rows = [...(await sectionOf('Health checks')).matchAll(/^\| `([a-z-]+)` +\|/gm)].map(([, name = '']) => name)
    expect(rows.toSorted()).toEqual(checks.map(({ name }) => name).toSorted())
  })
})
