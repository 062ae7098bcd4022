// The script of live pages. It reads the stream of the page, changes the parts that differ, and keeps focus, scrolling, what is typed, chosen and opened. When the
// stream is cut it says how old the page is, and tries again after growing pauses.

/** The script. It needs `Idiomorph`, `showTimes` and `soon`. */
export const LIVE_SCRIPT = `
const live = document.querySelector('main[data-live]')
if (live) {
  const [stale, staleAge, news] = ['stale', 'stale-age', 'news'].map((id) => document.getElementById(id))
  const SHORTEST = 1000, LONGEST = 60000, SILENT = 40000, NEWS = 10000
  let mark = live.dataset.live, seen = Date.now(), pause = SHORTEST, timer, abort, saidAt = 0, isOver = false
  const age = () => {
    const seconds = Math.round((Date.now() - seen) / 1000)
    return seconds < 120 ? seconds + ' s' : seconds < 7200 ? Math.round(seconds / 60) + ' min' : Math.round(seconds / 3600) + ' h'
  }
  const say = (text) => {
    if (stale.textContent !== text) stale.textContent = text
    staleAge.textContent = text === '' ? '' : 'This is ' + age() + ' old.'
  }
  const parse = (html) => {
    const template = document.createElement('template')
    template.innerHTML = html
    showTimes(template.content)
    return template.content
  }
  const isTouched = (old) =>
    old.type === 'checkbox' || old.type === 'radio' ? old.checked !== old.defaultChecked
      : old.tagName === 'SELECT' ? [...old.options].some((option) => option.selected !== option.defaultSelected)
      : old.type !== 'hidden' && old.value !== old.defaultValue
  const callbacks = {
    // What a person typed or chose stays, as long as it is about the same thing.
    beforeNodeMorphed: (old, next) => {
      if (!(old instanceof HTMLInputElement || old instanceof HTMLTextAreaElement || old instanceof HTMLSelectElement)) return true
      const isBox = old.type === 'checkbox'
      if (isBox && old.value !== next.value) old.checked = next.checked
      return !(isTouched(old) && old.name === next.name && (!isBox || old.value === next.value))
    },
    beforeAttributeUpdated: (name, element) => !(name === 'open' && element.tagName === 'DETAILS'),
  }
  const show = ({ id, version, html, age: line, problem }) => {
    const part = document.getElementById(id)
    const complaint = document.getElementById(id + '-problem')
    if (!part) return
    if (complaint && complaint.textContent !== problem) {
      complaint.textContent = problem
      complaint.className = problem === '' ? '' : 'error'
    }
    part.dataset.part = version
    if (html !== undefined) {
      const hadFocus = part.contains(document.activeElement)
      Idiomorph.morph(part, parse(html), { morphStyle: 'innerHTML', ignoreActiveValue: true, callbacks })
      // What had the focus is gone: the next Tab goes on from the heading.
      if (hadFocus && !part.contains(document.activeElement)) {
        const heading = part.querySelector('h1, h2')
        if (heading) {
          heading.tabIndex = -1
          heading.focus({ preventScroll: true })
        }
      }
    } else if (line !== undefined) {
      const old = part.querySelector('.age')
      if (old) old.replaceWith(parse(line))
    }
    document.dispatchEvent(new CustomEvent('slipway:part', { detail: part }))
  }
  const take = (event, data) => {
    if (event === 'end') {
      isOver = data.isFinal
      say(data.text)
      return
    }
    mark = data.mark
    data.parts.forEach(show)
    if (data.news !== '' && Date.now() - saidAt > NEWS) {
      saidAt = Date.now()
      news.textContent = data.news
    }
  }
  const again = (text) => {
    if (isOver) return
    say(text + (text.endsWith('.') ? '' : '.'))
    clearTimeout(timer)
    timer = setTimeout(connect, pause * (0.75 + Math.random() / 2))
    pause = Math.min(LONGEST, pause * 2)
  }
  const connect = async () => {
    if (document.hidden || isOver) return
    const own = (abort = new AbortController())
    let silence
    const heard = () => {
      clearTimeout(silence)
      silence = setTimeout(() => own.abort(), SILENT)
    }
    const query = new URLSearchParams({ for: live.dataset.for, mark })
    for (const part of document.querySelectorAll('[data-part]')) query.append('has', part.dataset.part)
    let told = ''
    try {
      heard()
      const answer = await fetch('/live?' + query, { signal: own.signal, headers: { Accept: 'text/event-stream' } })
      if (answer.status === 401) isOver = true
      if (answer.status === 401) return say('Your session has ended. Load this page again to see how to enter.')
      if (answer.status === 503) pause = Math.max(pause, 30000)
      if (!answer.ok) {
        told = (await answer.text()).slice(0, 300)
        throw new Error(told)
      }
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
      let rest = ''
      for (;;) {
        const { done, value } = await reader.read()
        if (done) break
        heard()
        if (!isOver) {
          seen = Date.now()
          say('')
          pause = SHORTEST
        }
        const pieces = (rest + value).split('\\n\\n')
        rest = pieces.pop()
        for (const piece of pieces) {
          const [, event, data] = /^event: (\\w+)\\ndata: (.*)$/.exec(piece) || []
          if (event) take(event, JSON.parse(data))
        }
      }
    } catch {
      // A stream that was cut, or never began, is asked for again below.
    }
    clearTimeout(silence)
    if (abort !== own || isOver) return
    const isPlain = told !== '' && !told.includes('<')
    again(isPlain ? told : navigator.onLine ? 'The bot does not answer; this page tries again by itself.' : 'This browser is offline; this page goes on by itself when it is online again.')
  }
  const now = () => {
    clearTimeout(timer)
    pause = SHORTEST
    if (abort) abort.abort()
    connect()
  }
  setInterval(() => stale.textContent === '' || say(stale.textContent), 5000)
  addEventListener('online', now)
  addEventListener('offline', () => abort && abort.abort())
  // A tab that nobody sees needs no stream; it gets everything at once when it is seen again.
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) return now()
    clearTimeout(timer)
    const own = abort
    abort = undefined
    if (own) own.abort()
  })
  addEventListener('pagehide', () => abort && abort.abort())
  addEventListener('pageshow', (event) => event.persisted && now())
  // What the page shows is new: painting it and taking keys come before the stream.
  soon(() => abort || connect())
}
`
