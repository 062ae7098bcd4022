// The files of uPlot that browsers get, imported as text.

declare module 'uplot/dist/uPlot.iife.min.js' {
  const text: string
  export = text
}

declare module 'uplot/dist/uPlot.min.css' {
  const text: string
  export = text
}
