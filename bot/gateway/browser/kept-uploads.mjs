// Which file belongs to which upload, as this browser remembers it: a file that is chosen again continues its upload. All tabs of the browser share it, and one tab at
// a time sends a file.

/** Begins the keys in the storage of the browser. */
const PREFIX = 'slipway-upload '

/** Returns the memory for a page. `place` is the same for all pages that lead to the same store or link. */
export function keptUploads(place) {
  const prefix = `${PREFIX}${place} `
  // Uppy's id of a file is made of its name, type, length and time of change.
  const keyOf = (file) => prefix + file.id
  /** What other tabs began while this one was open: their entries are gone when the upload is complete. */
  const seen = new Map()
  const releases = new Map()
  window.addEventListener('storage', ({ key, newValue }) => {
    if (key?.startsWith(prefix) && newValue !== null) seen.set(key, newValue)
  })
  const parse = (text) => {
    try {
      return JSON.parse(text)
    } catch {
      return null
    }
  }
  return {
    /** Returns the path that was kept for a file, its own or that of its link; undefined without one. */
    find(file) {
      return parse(localStorage.getItem(keyOf(file)) ?? seen.get(keyOf(file)) ?? 'null')?.path
    },
    keep(file, path) {
      localStorage.setItem(keyOf(file), JSON.stringify({ path, name: file.name }))
    },
    forget(file) {
      localStorage.removeItem(keyOf(file))
      seen.delete(keyOf(file))
    },
    /** Returns the kept uploads of the page as `{ key, path, name }`. */
    list() {
      return Object.keys(localStorage)
        .filter((key) => key.startsWith(prefix))
        .map((key) => ({ key, ...parse(localStorage.getItem(key)) }))
        .filter(({ path }) => typeof path === 'string')
    },
    forgetKey: (key) => localStorage.removeItem(key),
    /** Takes a file for this tab; returns whether no other tab has it. A page without TLS has no locks: its tabs take turns at the agent. */
    take(file) {
      if (releases.has(file.id) || !navigator.locks) return Promise.resolve(true)
      return new Promise((resolve) => {
        void navigator.locks.request(keyOf(file), { ifAvailable: true }, (lock) => {
          resolve(lock !== null)
          return lock && new Promise((release) => releases.set(file.id, release))
        })
      })
    },
    release(file) {
      releases.get(file.id)?.()
      releases.delete(file.id)
    },
  }
}
