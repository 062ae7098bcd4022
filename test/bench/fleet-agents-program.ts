// The agents of the bench `fleet`, in a process of their own. Prints the agents as JSON; a line `hang ZONE` or `streams` on standard input is answered
// with the number of open streams.

import { createInterface } from 'node:readline'
import { startSimulatedFleet } from '../support/agents/simulated-fleet.ts'

const [count = '1000', zones = '10'] = process.argv.slice(2)
const fleet = startSimulatedFleet(Number(count), Number(zones))
console.log(JSON.stringify(fleet.agents.map(({ name, url, token, zone, store }) => ({ name, url, token, zone, storeId: store.id }))))
for await (const line of createInterface({ input: process.stdin })) {
  const [word, zone] = line.split(' ')
  if (word === 'hang') for (const agent of fleet.agents) if (agent.zone === zone) agent.hang()
  console.log(String(fleet.streams()))
}
await fleet[Symbol.asyncDispose]()
process.exit(0)
