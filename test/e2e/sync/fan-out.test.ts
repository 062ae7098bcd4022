// A short run of fan-out.ts; SLIPWAY_SYNC_TARGETS=200 runs it at full size.

import { expect, test } from 'bun:test'
import { copyToMany } from './fan-out.ts'
import { fanOutChart } from './fan-out-chart.ts'

const MIB = 1024 * 1024
const full = Number(process.env['SLIPWAY_SYNC_TARGETS'] ?? 0)
const TARGETS = full > 0 ? full : 10
const LENGTH = full > 0 ? 8 * MIB : MIB

test(
  'many targets that copy through two stores, one of which stops, cost the source at most three times the image',
  async () => {
    const report = await copyToMany(TARGETS, LENGTH, (line) => console.error(line))
    console.error(JSON.stringify({ ...report, points: report.points.length }))
    expect(report.source).toBeGreaterThan(2)
    expect(report.source).toBeLessThan(3)
    expect(report.stores).toBeGreaterThan(TARGETS)
    expect(report.points).toHaveLength(TARGETS + 1)
    expect(fanOutChart(report.points)).toContain('</svg>')
  },
  full > 0 ? 1_800_000 : 120_000,
)
