// What pages with charts load: our script, which loads uPlot when a chart comes into sight, and the style of uPlot with ours, under addresses that change with
// their content.

import uPlotScript from 'uplot/dist/uPlot.iife.min.js' with { type: 'text' }
import uPlotStyle from 'uplot/dist/uPlot.min.css' with { type: 'text' }
import type { PageLoads } from '../layout.tsx'
import { CHART_STYLE, chartScript } from './chart-script.ts'

const uPlot = `${uPlotScript}\nexport default uPlot`
const uPlotPath = `/assets/uplot-${nameOf(uPlot)}.js`
const script = chartScript(uPlotPath)
const style = `${uPlotStyle}\n${CHART_STYLE}`

/** What the head of a page with charts names. */
export const CHART_LOADS: PageLoads = { stylePath: `/assets/charts-${nameOf(style)}.css`, scriptPath: `/assets/charts-${nameOf(script)}.js` }

/** The files by their addresses. */
export const CHART_ASSETS: readonly { readonly path: string; readonly type: string; readonly text: string }[] = [
  { path: uPlotPath, type: 'text/javascript; charset=utf-8', text: uPlot },
  { path: CHART_LOADS.scriptPath, type: 'text/javascript; charset=utf-8', text: script },
  { path: CHART_LOADS.stylePath, type: 'text/css; charset=utf-8', text: style },
]

function nameOf(text: string): string {
  return new Bun.CryptoHasher('sha256').update(text).digest('hex').slice(0, 16)
}
