// node:os as the agents of a simulation see it.

import * as os from 'node:os'

/** Two cores, on whatever machine the simulation runs. */
export function availableParallelism(): number {
  return 2
}

/** The threads of a simulation are functions of this one. */
export function setPriority(): void {}

export const { hostname, networkInterfaces, platform } = os
