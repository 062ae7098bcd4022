// Pictures of charts as PNG: one at a time, and so many waiting at most, because each takes the processor for a moment.

import type { Chart } from '../../../protocol/views/chart.ts'
import { chartSvg, POINTS_MAX } from './chart-svg.ts'

/** Largest picture, in bytes. */
const PICTURE_BYTES_MAX = 200_000
/** Most pictures of one answer, and most answers whose pictures are drawn or wait. */
const CHARTS_MAX = 8
const ORDERS_MAX = 8

export interface Picture {
  readonly name: string
  readonly title: string
  /** What the picture says, in words. */
  readonly words: string
  readonly png: Uint8Array<ArrayBuffer>
}

/** Draws the charts; undefined when too many others wait. Rejects when a picture cannot be drawn. */
export type DrawPictures = (charts: readonly Chart[], heading: string) => Promise<readonly Picture[] | undefined>

/** Creates what draws pictures. */
export function createPictures(): DrawPictures {
  let orders = 0
  let turn: Promise<unknown> = Promise.resolve()
  const draw = async (chart: Chart, heading: string): Promise<Picture> => {
    const { rasterise } = await import('./rasterise.ts')
    // Noise compresses badly, and nobody can read it: it gets fewer points.
    let pointsMax = POINTS_MAX
    let png = rasterise(chartSvg(chart, heading))
    while (png.length > PICTURE_BYTES_MAX && pointsMax > 1) {
      pointsMax = Math.floor(pointsMax / 2)
      png = rasterise(chartSvg(chart, heading, pointsMax))
    }
    // Other work of the program gets its turn between two pictures.
    await new Promise<void>((resolve) => setImmediate(resolve))
    return { name: chart.name, title: chart.title, words: chart.summary, png }
  }
  return async (charts, heading) => {
    if (orders >= ORDERS_MAX) return undefined
    orders++
    try {
      const pictures: Picture[] = []
      for (const chart of charts.slice(0, CHARTS_MAX)) {
        const drawn = turn.then(() => draw(chart, heading))
        turn = drawn.catch(() => {})
        // oxlint-disable-next-line no-await-in-loop -- one at a time
        pictures.push(await drawn)
      }
      return pictures
    } finally {
      orders--
    }
  }
}
