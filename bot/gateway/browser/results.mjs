// What an upload page says: one sentence on the page, and on the page of a store an entry for each file.

const sentence = document.getElementById('sentence')
const found = document.getElementById('found')
const results = document.getElementById('results')

/** Shows times in the zone of the reader. */
export function showTimes() {
  for (const time of document.querySelectorAll('time')) {
    time.title = time.textContent
    time.textContent = new Date(time.dateTime).toLocaleString()
  }
}

export function isSaid(text) {
  return sentence.textContent === text
}

export function say(text) {
  if (!isSaid(text)) sentence.textContent = text
}

function listOf(rows) {
  const list = document.createElement('dl')
  list.className = 'fields'
  for (const [label, value] of rows) {
    const row = list.appendChild(document.createElement('div'))
    row.appendChild(document.createElement('dt')).textContent = label
    row.appendChild(document.createElement('dd')).textContent = value
  }
  return list
}

function entryOf(file) {
  const old = [...results.children].find((entry) => entry.dataset.file === file.id)
  if (old) return old
  const entry = results.appendChild(document.createElement('li'))
  entry.dataset.file = file.id
  return entry
}

/** Says what became of a file. `state` is that of its link, whose image the page of a store links to. */
export function report(file, text, state) {
  if (!results) {
    say(text)
    if (state?.found.length > 0) found.replaceChildren(listOf(state.found))
    return
  }
  const entry = entryOf(file)
  const line = document.createElement('p')
  line.appendChild(document.createElement('b')).textContent = file.name
  line.append(`: ${text}`)
  if (entry.firstElementChild?.textContent === line.textContent) return
  const parts = [line]
  if (state?.found.length > 0) parts.push(listOf(state.found))
  if (state?.image) {
    const link = document.createElement('a')
    link.href = `/images/${encodeURIComponent(state.image)}`
    link.textContent = `Show ${state.name ?? file.name}`
    parts.push(link)
  }
  entry.replaceChildren(...parts)
}
