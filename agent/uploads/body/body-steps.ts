// Body steps: everything that touches the commits of one body, one step at a time. A tail must not grow while an ingest opens on it.

import { createInOrder } from '../../contract/in-order.ts'

export interface BodySteps {
  /** Runs a step after every step passed before it. Rejects when the step fails; later steps run nevertheless. */
  run<Result>(step: () => Promise<Result>): Promise<Result>
  /** Runs a step in the same order while the body continues. Never rejects: a failure goes to `onFailure`. */
  runInBackground(step: () => Promise<void>): Promise<void>
}

/** Creates the steps of one body. */
export function createBodySteps(onFailure: (error: unknown) => void): BodySteps {
  const { run } = createInOrder()
  return { run, runInBackground: (step) => run(step).catch(onFailure) }
}
