// The minified script of idiomorph, which the script of the page contains as text.
declare module 'idiomorph/dist/idiomorph.min.js' {
  const text: string
  export { text as default }
}
