// Stylesheet and icon of the pages of bot and agent: one column on a phone, where rows become cards; light or dark as the system prefers.

/** The icon: three slices of an image. */
export const PAGE_ICON = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path fill="#0b57b5" d="M2 2h12v3H2zm0 4.5h12v3H2zM2 11h12v3H2z"/></svg>'

/** The stylesheet. */
export const PAGE_STYLE = `
:root { color-scheme: light dark; --fg: #1b1f24; --bg: #ffffff; --soft: #f3f5f7; --line: #c7ced6; --dim: #4c5661; --link: #0b57b5; --good: #14692f; --warning: #7d4a00; --bad: #a8161f; --on: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --fg: #e8ebee; --bg: #14181c; --soft: #1f252b; --line: #46515c; --dim: #b3bdc7; --link: #8ec1ff; --good: #6fd08c; --warning: #f0b45a; --bad: #ff938f; --on: #14181c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--fg); font: 1rem/1.5 system-ui, sans-serif; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -100vw; } .skip:focus { left: 0; background: var(--bg); padding: .5rem; z-index: 1; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
header { background: var(--soft); border-bottom: 1px solid var(--line); padding: .5rem 1rem; display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; align-items: center; }
header ul, .tabs ul, .actions, .checklist, .notes { list-style: none; margin: 0; padding: 0; }
header ul, .tabs ul, .actions { display: flex; flex-wrap: wrap; gap: .25rem .9rem; }
header .brand { font-weight: 700; color: var(--fg); text-decoration: none; }
header form { display: flex; gap: .3rem; } header .who { margin-left: auto; color: var(--dim); display: flex; gap: .6rem; align-items: center; flex-wrap: wrap; }
nav [aria-current] { font-weight: 700; color: var(--fg); }
main { padding: 1rem; max-width: 90rem; margin: 0 auto; }
footer { padding: 1rem; color: var(--dim); }
h1, h2, p { overflow-wrap: anywhere; } h1 { font-size: 1.5rem; margin: .5rem 0; } h2 { font-size: 1.2rem; margin: 1.5rem 0 .5rem; }
.tabs { border-bottom: 1px solid var(--line); margin-bottom: .75rem; padding-bottom: .35rem; }
.good > .glyph, .glyph.good { color: var(--good); } .glyph.warning { color: var(--warning); } .glyph.bad, .error { color: var(--bad); }
.view { margin-bottom: 1.5rem; } .view.refused, .view.failed, .view.unclear { border-left: 4px solid var(--line); padding-left: .75rem; }
.view.bad.failed { border-color: var(--bad); } .view.warning { border-color: var(--warning); }
.fields { display: grid; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); gap: .5rem 1.25rem; margin: .75rem 0; }
.fields .line { grid-column: 1 / -1; } .fields dt { color: var(--dim); font-size: .875rem; } .fields dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; position: relative; } table { border-collapse: collapse; width: 100%; } .chosen { margin: .75rem 0; } .choose-all { margin-right: 1rem; } @media (scripting: none) { .choose-all { display: none; } }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: break-word; }
tbody th { font-weight: 600; } th.right, td.right { text-align: right; } .whole { white-space: nowrap; overflow-wrap: normal; } thead { background: var(--soft); } thead a { color: inherit; }
pre { overflow: auto; background: var(--soft); padding: .75rem; } progress { width: min(24rem, 100%); height: 1rem; }
input, select, textarea, button, .button { font: inherit; padding: .3rem .6rem; border: 1px solid var(--dim); border-radius: .25rem; background: var(--bg); color: var(--fg); }
button, .button { cursor: pointer; background: var(--soft); display: inline-block; text-decoration: none; min-height: 2.25rem; }
.primary { background: var(--link); color: var(--on); border-color: var(--link); } .danger { color: var(--bad); border-color: var(--bad); }
.field { margin: .75rem 0; max-width: 40rem; } .field label, .typed label, .field legend { font-weight: 600; display: block; } .field input:not([type=checkbox]), .field select, .field textarea { width: 100%; }
.field.switch label { display: inline; } .hint, .age, .text.dim { color: var(--dim); } .hint { margin: 0 0 .2rem; font-size: .875rem; } .error { margin: 0 0 .2rem; font-weight: 600; } [aria-invalid=true] { border: 2px solid var(--bad); }
details { margin: .75rem 0; } summary { cursor: pointer; } .notes, .actions, .checklist, .filter { margin: .75rem 0; }
.menu { margin: 0; } .menu summary { white-space: nowrap; } .menu ul { list-style: none; margin: .3rem 0 0; padding: 0; columns: 10rem 3; }
.alone { max-width: 34rem; margin: 10vh auto; }
@media (max-width: 44rem) {
  header { gap: .5rem; } header .who { margin-left: 0; }
  table, tbody, tr, tbody td, tbody th { display: block; width: 100%; } thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tbody tr { border: 1px solid var(--line); border-radius: .35rem; margin-bottom: .75rem; padding: .25rem .5rem; }
  tbody td, tbody th { border: 0; padding: .15rem .25rem; } td.right { text-align: left; } tbody td::before { content: attr(data-label) ": "; color: var(--dim); }
  .whole { white-space: normal; overflow-wrap: anywhere; } td:empty { display: none; }
}
@media (prefers-reduced-motion: no-preference) { html { scroll-behavior: smooth; } }
`
