// The script of the page. Everything works without it: it shows times in the zone of the viewer, `/` moves to the search, one box chooses all rows, and places change by themselves.

import IDIOMORPH from 'idiomorph/dist/idiomorph.min.js' with { type: 'text' }
import { LIVE_SCRIPT } from './live/live-script.ts'

/** The script. */
export const PAGE_SCRIPT = `${IDIOMORPH}
const soon = window.requestIdleCallback ? (work) => requestIdleCallback(work, { timeout: 1000 }) : (work) => setTimeout(work)
const two = (number) => String(number).padStart(2, '0')
// As the console writes times, with the offset of the viewer. A formatter of Intl takes a slow computer a tenth of a second to make.
const localText = (time) => {
  const offset = -time.getTimezoneOffset()
  const [hours, minutes] = [Math.trunc(Math.abs(offset) / 60), Math.abs(offset) % 60]
  const zone = offset === 0 ? 'UTC' : 'UTC' + (offset < 0 ? '-' : '+') + hours + (minutes === 0 ? '' : ':' + two(minutes))
  const date = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join('-')
  return date + ' ' + [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(':') + ' ' + zone
}
const showTimes = (root) => {
  for (const element of root.querySelectorAll('time[datetime]')) {
    const time = new Date(element.dateTime)
    // One that has a title shows the time of the viewer already.
    if (element.title !== '' || Number.isNaN(time.getTime())) continue
    element.title = element.textContent
    element.textContent = localText(time)
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
