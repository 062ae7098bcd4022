// Counts the workers that the code under test starts and ends. They are real workers.

export interface CountedWorkers extends Disposable {
  /** Workers that were started, and those of them that were terminated. */
  readonly started: number
  readonly terminated: number
  /** What the workers have sent. */
  readonly sent: readonly unknown[]
}

/** Counts the workers of this process until disposed. */
export function countWorkers(): CountedWorkers {
  const RealWorker = globalThis.Worker
  const counts = { started: 0, terminated: 0 }
  const sent: unknown[] = []
  globalThis.Worker = class extends RealWorker {
    constructor(...parameters: ConstructorParameters<typeof RealWorker>) {
      super(...parameters)
      counts.started++
      this.addEventListener('message', ({ data }) => sent.push(data))
    }
    override terminate(): void {
      counts.terminated++
      super.terminate()
    }
  }
  return {
    get started() {
      return counts.started
    },
    sent,
    get terminated() {
      return counts.terminated
    },
    [Symbol.dispose]: () => void (globalThis.Worker = RealWorker),
  }
}
