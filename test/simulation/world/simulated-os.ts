// node:os as the agents of a simulation see it.

import * as os from 'node:os'

/** Two cores, on whatever machine the simulation runs. */
export function availableParallelism(): number {
  return 2
}

/** The threads of a simulation are functions of this one. */
export function setPriority(): void {}

/** What an evidence archive says of the machine: the same on every machine, so that a seed repeats its run. */
export const arch = (): string => 'x64'
export const release = (): string => '6.1.0'
export const version = (): string => 'simulated'
export const totalmem = (): number => 4 * 1024 ** 3
export const uptime = (): number => 1000
export const loadavg = (): number[] => [0, 0, 0]

export const { hostname, networkInterfaces, platform } = os
