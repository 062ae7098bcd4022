// The metrics of an agent: their names are an interface, and a part that fails does not delay the others.

import { describe, expect, test } from 'bun:test'
import { createAgentMetrics } from '../../../agent/health/agent-metrics.ts'
import type { AgentMetricsDeps } from '../../../agent/health/agent-metrics.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'

function createFixture(more: Partial<AgentMetricsDeps> = {}) {
  const clock = createManualClock()
  const agent = createAgentMetrics({
    clock,
    version: '1.2.3',
    startMs: 5000,
    space: { state: async () => ({ totalBytes: 100, freeBytes: 40, reservedBytes: 10, promisedBytes: 5, availableBytes: 25 }) },
    tasks: { counts: () => ({ queued: 1, running: 2, succeeded: 3, failed: 4, cancelled: 5 }) },
    health: {
      current: async () => ({ state: 'degraded', checks: [{ name: 'clock', state: 'warning', measured: '', limit: null, impact: '', action: '' }], asOf: '' }),
    },
    sliceStats: () => ({ slices: 7, storedBytes: 70, packs: 2, packBytes: 80, quarantined: 0 }),
    images: () => ({ available: 3, deleted: 2, other: 1, damaged: 1, imageBytes: 600 }),
    uploadsActive: () => 4,
    eventLoopDelayMsMax: () => 12,
    residentBytes: () => 99,
    lastRuns: () => ({ gc: { endedMs: 60_000, freedBytes: 11 }, scrub: null }),
    ...more,
  })
  return { agent, clock }
}

describe('metrics of an agent', () => {
  test('cover requests, content, store, tasks, health and process', async () => {
    const { agent } = createFixture()
    agent.observeRequest({ method: 'GET', route: '/v1/store', status: 200, seconds: 0.003 })
    agent.observeRequest({ method: 'BREW', route: 'unmatched', status: 404, seconds: 0.001 })
    agent.countReceived(1000)
    agent.countServed(2000)
    expect(agent.traffic()).toEqual({ received: 1000, served: 2000, sinceMs: 5000 })
    const text = await agent.metrics.render()
    for (const line of [
      'slipway_http_requests_total{method="GET",route="/v1/store",status="200"} 1',
      'slipway_http_requests_total{method="other",route="unmatched",status="404"} 1',
      'slipway_http_request_duration_seconds_bucket{route="/v1/store",le="0.005"} 1',
      'slipway_content_received_bytes_total 1000',
      'slipway_content_served_bytes_total 2000',
      'slipway_space_free_bytes 40',
      'slipway_space_available_bytes 25',
      'slipway_slices 7',
      'slipway_packs_bytes 80',
      'slipway_images{status="available"} 3',
      'slipway_images_bytes 600',
      'slipway_images_damaged 1',
      'slipway_uploads_active 4',
      'slipway_tasks{state="failed"} 4',
      'slipway_gc_last_end_timestamp_seconds 60',
      'slipway_gc_last_freed_bytes 11',
      'slipway_health_state{state="degraded"} 1',
      'slipway_health_state{state="running"} 0',
      'slipway_health_check{check="clock",state="warning"} 1',
      'slipway_event_loop_delay_seconds_max 0.012',
      'process_resident_memory_bytes 99',
      'process_start_time_seconds 5',
      'slipway_build_info{version="1.2.3"} 1',
    ])
      expect(text.split('\n')).toContain(line)
    expect(text).not.toMatch(/^slipway_scrub_last_findings /m)
  })

  test('omit the space of a file system that hangs, and ask it only once meanwhile', async () => {
    let looks = 0
    const { agent, clock } = createFixture({ space: { state: () => (looks++, new Promise(() => {})) } })
    for (let round = 0; round < 2; round++) {
      const rendered = agent.metrics.render()
      await clock.untilSleeping(4)
      clock.advance(2000)
      const text = await rendered
      expect(text).toContain('slipway_slices 7')
      expect(text).not.toContain('slipway_space')
    }
    expect(looks).toBe(1)
  })
})
