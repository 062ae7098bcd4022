// The registry of metrics and the text it renders.

import { describe, expect, test } from 'bun:test'
import { createMetrics } from '../../../agent/health/metrics.ts'

describe('metrics', () => {
  test('are rendered with help, type, labels and values', async () => {
    const metrics = createMetrics()
    const requests = metrics.counter('requests_total', 'Requests.\nAll of them, with a \\.')
    metrics.reading('free_bytes', 'Free.', 'gauge', () => [{ value: 5 }, { value: 1.5, labels: { path: 'a"b\\c\nd' } }])
    requests.add(1, { route: '/v1/x' })
    requests.add(2, { route: '/v1/x' })
    requests.add(1)
    expect(await metrics.render()).toBe(
      [
        '# HELP requests_total Requests.\\nAll of them, with a \\\\.',
        '# TYPE requests_total counter',
        'requests_total{route="/v1/x"} 3',
        'requests_total 1',
        '# HELP free_bytes Free.',
        '# TYPE free_bytes gauge',
        'free_bytes 5',
        'free_bytes{path="a\\"b\\\\c\\nd"} 1.5',
        '',
      ].join('\n'),
    )
  })

  test('count into cumulative buckets', async () => {
    const metrics = createMetrics()
    const seconds = metrics.histogram('seconds', 'Time.', [0.1, 1])
    for (const value of [0.05, 0.1, 0.5, 7]) seconds.observe(value, { route: 'a' })
    expect((await metrics.render()).split('\n').slice(2, -1)).toEqual([
      'seconds_bucket{route="a",le="0.1"} 2',
      'seconds_bucket{route="a",le="1"} 3',
      'seconds_bucket{route="a",le="+Inf"} 4',
      'seconds_sum{route="a"} 7.65',
      'seconds_count{route="a"} 4',
    ])
  })

  test('omit only the metrics that cannot be read', async () => {
    const metrics = createMetrics()
    metrics.reading('broken', 'Broken.', 'gauge', () => Promise.reject(new Error('gone')))
    metrics.reading('whole', 'Whole.', 'gauge', () => [{ value: 1 }])
    expect(await metrics.render()).toBe('# HELP whole Whole.\n# TYPE whole gauge\nwhole 1\n')
  })

  test('are bounded in their series, and have unique names', async () => {
    const metrics = createMetrics()
    const counter = metrics.counter('a', 'A.')
    const histogram = metrics.histogram('h', 'H.', [1])
    for (let i = 0; i < 2000; i++) {
      counter.add(1, { i: String(i) })
      histogram.observe(1, { i: String(i) })
    }
    counter.add(5, { i: '0' })
    const text = await metrics.render()
    expect(text.match(/^a\{/gm)).toHaveLength(1000)
    expect(text.match(/^h_count\{/gm)).toHaveLength(1000)
    expect(text).toContain('a{i="0"} 6\n')
    expect(() => metrics.counter('a', 'Again.')).toThrow('two metrics')
  })
})
