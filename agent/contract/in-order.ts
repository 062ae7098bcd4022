// In-order queues: run asynchronous steps one at a time, all of them or those of each key.

const ignore = (): void => {}

/** Steps that share one resource, such as the open pack or the runs of the index. */
export interface InOrder {
  /** Runs a step after every step passed before it has ended. Returns its result; a step that fails does not stop later ones. */
  run<Result>(step: () => Promise<Result>): Promise<Result>
  /** Resolves when every step passed so far has ended. Never rejects. */
  idle(): Promise<void>
}

/** Creates an empty queue. It has no length limit: each caller awaits its own step, or limits itself. */
export function createInOrder(): InOrder {
  let last: Promise<unknown> = Promise.resolve()
  return {
    run(step) {
      const result = last.then(step)
      last = result.catch(ignore)
      return result
    },
    idle: () => last.then(ignore),
  }
}

/** Steps that share one resource of many, such as the image with an id. Steps of different keys run in parallel. */
export interface InOrderByKey {
  /** Runs a step after every step passed before it with the same key has ended. Returns its result; a step that fails does not stop later ones. */
  run<Result>(key: string, step: () => Promise<Result>): Promise<Result>
}

/** Creates queues that exist only while a step runs or waits. */
export function createInOrderByKey(): InOrderByKey {
  const ends = new Map<string, Promise<unknown>>()
  return {
    async run(key, step) {
      const result = (ends.get(key) ?? Promise.resolve()).then(step)
      const end = result.catch(ignore)
      ends.set(key, end)
      try {
        return await result
      } finally {
        if (ends.get(key) === end) ends.delete(key)
      }
    },
  }
}
