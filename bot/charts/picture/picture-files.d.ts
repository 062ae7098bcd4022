// The files from which pictures are made. The compiled program carries them; the import gives their path.

declare module '@resvg/resvg-wasm/index_bg.wasm' {
  const path: string
  export = path
}

declare module 'dejavu-fonts-ttf/ttf/DejaVuSans.ttf' {
  const path: string
  export = path
}
