// Charts of a View as figures, which a script fills in. Without it, and for screen readers, the table of the View says the same.

/** @jsxImportSource hono/jsx */

import type { View } from '../view.ts'
import type { Html, HtmlOptions } from './html.ts'
import { Words } from './words.tsx'

/** The figures of a View; nothing when it has none, or when nobody serves their series. */
export function Charts({ view, options }: { readonly view: View; readonly options: HtmlOptions }): Html {
  const { seriesHref } = options
  if (!view.charts?.length || seriesHref === undefined) return <></>
  return (
    <div class="charts" data-charts={seriesHref}>
      {view.charts.map(({ name, title }) => (
        <figure class="chart" data-chart={name}>
          <figcaption>
            <Words text={title} />
          </figcaption>
          <div class="plot" aria-hidden="true" hidden />
        </figure>
      ))}
      <p class="chart-age" role="status" />
    </div>
  )
}
