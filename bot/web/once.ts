// Forms that were sent. A form that is sent twice, by a double click or a reload, runs once.

/** Forms that are remembered; the oldest are forgotten. */
export const ONCE_MAX = 10_000
/** Longest number of a form, in characters; a longer one is refused. */
const NUMBER_LENGTH_MAX = 120

export interface Once {
  /** Returns whether a form is sent for the first time. */
  use(number: string): boolean
}

/** Creates the memory of sent forms, which lasts as long as the service. */
export function createOnce(): Once {
  const used = new Set<string>()
  return {
    use(number) {
      if (number.length > NUMBER_LENGTH_MAX || used.has(number)) return false
      used.add(number)
      const [oldest] = used
      if (used.size > ONCE_MAX && oldest !== undefined) used.delete(oldest)
      return true
    },
  }
}
