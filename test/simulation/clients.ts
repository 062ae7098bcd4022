// What clients do in a simulation, and what they hold the agents to. Every function is one request, run as a process of the world.

import { Asking } from './clients/asking.ts'
import type { Expectations } from './clients/asking.ts'
import { ImageClients } from './clients/images.ts'
import { UpkeepClients } from './clients/upkeep.ts'
import { UploadClients } from './clients/uploads.ts'
import type { Network } from './world/network.ts'
import type { SimulatedAgent } from './world/simulated-agent.ts'

export class Clients {
  readonly uploads: UploadClients
  readonly images: ImageClients
  readonly upkeep: UpkeepClients
  readonly expected: Expectations
  /** Agents whose disk ever had damaged slices. */
  readonly wasRotten: ReadonlySet<number>

  constructor(agents: readonly SimulatedAgent[], network: Network) {
    const asking = new Asking(agents, network)
    this.uploads = new UploadClients(asking)
    this.images = new ImageClients(asking)
    this.upkeep = new UpkeepClients(asking)
    this.expected = asking.expected
    this.wasRotten = asking.wasRotten
  }
}
