// Counts the operations of a disk with fault injection, and makes the planned one fail.

/**
 * Fault of an operation. `EIO` and `ENOSPC` fail without any effect (ENOSPC only for operations that need space). `late` performs the operation
 * and then fails with EIO. `short` and `torn` write a part and fail with ENOSPC and EIO. `kill` crashes the process at the operation. `power`
 * also loses data that is not synced.
 */
export type Fault = 'EIO' | 'ENOSPC' | 'late' | 'short' | 'torn' | 'kill' | 'power'
export const FAULTS: readonly Fault[] = ['EIO', 'ENOSPC', 'late', 'short', 'torn', 'kill', 'power']

export interface FaultPlan {
  /** Number of the operation, starting with 1. */
  readonly at: number
  readonly fault: Fault
  /** Whether all later operations fail too, until `clearFault`. Default: only one fails. */
  readonly lasting?: boolean
}

export class FaultGate {
  #plan: FaultPlan | undefined
  #count = 0
  #isDead = false
  #hasFailed = false

  /** Number of operations since the last `plan`. */
  get operations(): number {
    return this.#count
  }

  /** Whether the process has crashed. Every operation throws until `revive`. */
  get isDead(): boolean {
    return this.#isDead
  }

  /** Whether the planned fault has occurred. */
  get hasFailed(): boolean {
    return this.#hasFailed
  }

  /** Resets the count of operations and applies a new plan. */
  plan(plan: FaultPlan | undefined): void {
    this.#plan = plan
    this.#count = 0
    this.#hasFailed = false
  }

  clearFault(): void {
    this.#plan = undefined
  }

  /** Ends the process here and now. */
  die(): void {
    this.#isDead = true
  }

  revive(): void {
    this.#isDead = false
    this.#plan = undefined
  }

  /** Counts an operation and returns its planned fault. The process may crash here. */
  step(needsSpace: boolean): Fault | undefined {
    if (this.#isDead) throw systemError('EIO', 'the process has crashed')
    this.#count++
    const plan = this.#plan
    if (!plan || (plan.lasting ? this.#count < plan.at : this.#count !== plan.at)) return undefined
    if (plan.fault === 'ENOSPC' && !needsSpace) return undefined
    this.#hasFailed = true
    if (plan.fault === 'kill' || plan.fault === 'power') this.#isDead = true
    return plan.fault
  }

  /** Runs an atomic operation. */
  async whole<Result>(path: string, needsSpace: boolean, run: () => Promise<Result>): Promise<Result> {
    const fault = this.step(needsSpace)
    if (fault === 'late') {
      await run()
      throw systemError('EIO', path)
    }
    if (fault !== undefined) throw failureOf(fault, path)
    return run()
  }

  /** An fsync takes time: one that nobody waits for has no effect if the power goes first. */
  async reachPlatter(path: string): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    if (this.#isDead) throw systemError('EIO', path)
  }
}

/** The error with which an operation fails. */
export function failureOf(fault: Fault, path: string): Error {
  return systemError(fault === 'ENOSPC' || fault === 'short' ? 'ENOSPC' : 'EIO', path)
}

export function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: simulated by a test, ${path}`), { code })
}
