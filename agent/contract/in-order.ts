// In-order queue: runs asynchronous steps one at a time.

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
