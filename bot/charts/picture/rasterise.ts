// SVG as PNG with resvg and one font, both carried by the compiled program. The module takes tens of megabytes of memory, so it is imported by what draws
// a picture, when it draws the first one.

import { initWasm, Resvg } from '@resvg/resvg-wasm'
import wasmPath from '@resvg/resvg-wasm/index_bg.wasm' with { type: 'file' }
import fontPath from 'dejavu-fonts-ttf/ttf/DejaVuSans.ttf' with { type: 'file' }

const [wasm, font] = await Promise.all([Bun.file(wasmPath).bytes(), Bun.file(fontPath).bytes()])
await initWasm(wasm)

/** Returns the PNG of an SVG of its own size. Nothing outside the SVG is loaded. */
export function rasterise(svg: string): Uint8Array<ArrayBuffer> {
  const resvg = new Resvg(svg, { font: { fontBuffers: [font], defaultFontFamily: 'DejaVu Sans', loadSystemFonts: false } })
  try {
    const image = resvg.render()
    try {
      return new Uint8Array(image.asPng())
    } finally {
      image.free()
    }
  } finally {
    resvg.free()
  }
}
