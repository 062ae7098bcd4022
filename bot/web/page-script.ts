// The script of the page. Everything works without it: it shows times in the zone of the viewer, `/` moves to the search, one box chooses all rows, and places change by themselves.

import IDIOMORPH from 'idiomorph/dist/idiomorph.min.js' with { type: 'text' }
import { LIVE_SCRIPT } from './live/live-script.ts'

/** The script. */
export const PAGE_SCRIPT = `${IDIOMORPH}
// Making a formatter takes a slow computer up to a tenth of a second, so all times share two of them, and painting and keys come before each.
const soon = window.requestIdleCallback ? (work) => requestIdleCallback(work, { timeout: 1000 }) : (work) => setTimeout(work)
let whenText, zoneText
const makeWhenText = () => (whenText ??= new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' }))
const makeZoneText = () => (zoneText ??= new Intl.DateTimeFormat(undefined, { timeZoneName: 'short' }))
const showTimes = (root) => {
  makeWhenText()
  makeZoneText()
  for (const element of root.querySelectorAll('time[datetime]')) {
    const time = new Date(element.dateTime)
    // One that has a title shows the zone of the viewer already.
    if (element.title !== '' || Number.isNaN(time.getTime())) continue
    element.title = element.textContent
    const zone = zoneText.formatToParts(time).find((part) => part.type === 'timeZoneName')
    element.textContent = whenText.format(time) + ' ' + (zone ? zone.value : '')
  }
}
soon(() => {
  makeWhenText()
  soon(() => {
    makeZoneText()
    soon(() => showTimes(document))
  })
})
document.addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select')) return
  event.preventDefault()
  document.getElementById('search').focus()
})
document.addEventListener('change', ({ target }) => {
  const all = target.matches('[data-chooses]') ? target : document.querySelector('[data-chooses]')
  const boxes = all ? [...document.querySelectorAll('input[type=checkbox][name="' + all.dataset.chooses + '"]')] : []
  if (target === all) for (const box of boxes) box.checked = all.checked
  else if (boxes.includes(target)) all.checked = boxes.every((box) => box.checked)
})
${LIVE_SCRIPT}`
