// The script of the page. Everything works without it: it shows times in the zone of the viewer, `/` moves to the search, and places change by themselves.

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
${LIVE_SCRIPT}`
