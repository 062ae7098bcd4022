// The script of the page. Everything works without it: it shows times in the zone of the viewer, `/` moves to the search, and a page with a running task is
// asked for again until nothing moves; when it cannot be, the page says how old it is.

/** The script. */
export const PAGE_SCRIPT = `
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
let seen = Date.now()
const look = async () => {
  const main = document.querySelector('main[data-moving]')
  if (!main) return
  try {
    const answer = await fetch(location.href, { headers: { Accept: 'text/html' } })
    if (!answer.ok) throw new Error(answer.statusText)
    const next = new DOMParser().parseFromString(await answer.text(), 'text/html').querySelector('main')
    if (next && !main.contains(document.activeElement)) {
      showTimes(next)
      main.replaceWith(document.adoptNode(next))
    }
    seen = Date.now()
  } catch {
    document.getElementById('stale').textContent = 'The bot does not answer. This is ' + Math.round((Date.now() - seen) / 1000) + ' s old.'
  }
  setTimeout(look, 5000)
}
setTimeout(look, 5000)
`
