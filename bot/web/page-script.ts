// The script of the page. Everything works without it: it shows times in the zone of the viewer, `/` moves to the search, one box chooses all rows, and places change by themselves.

import IDIOMORPH from 'idiomorph/dist/idiomorph.min.js' with { type: 'text' }
import { LIVE_SCRIPT } from './live/live-script.ts'

/** The script. */
export const PAGE_SCRIPT = `${IDIOMORPH}
const showTimes = (root) => {
  for (const element of root.querySelectorAll('time[datetime]')) {
    const time = new Date(element.dateTime)
    if (Number.isNaN(time.getTime())) continue
    element.title = element.textContent
    const zone = new Intl.DateTimeFormat(undefined, { timeZoneName: 'short' }).formatToParts(time).find((part) => part.type === 'timeZoneName')
    element.textContent = time.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' }) + ' ' + (zone ? zone.value : '')
  }
}
showTimes(document)
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
