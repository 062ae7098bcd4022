// The agents of the benches `fleet` and `page`, in a process of their own. Prints the agents as JSON; a line `hang ZONE`, `traffic EVENTS-A-SECOND` or `streams` on
// standard input is answered with the number of open streams. Every agent has the same images, as sites have the same templates.

import { createInterface } from 'node:readline'
import { fingerprintText, isOpenImage, NO_IMAGES, withImage } from '../../protocol/images/fingerprint.ts'
import { startSimulatedFleet } from '../support/agents/simulated-fleet.ts'
import { memoryImage } from '../support/memory/memory-image.ts'

const [count = '1000', zones = '10', imageCount = '0'] = process.argv.slice(2)
const fleet = startSimulatedFleet(Number(count), Number(zones))
const images = Array.from({ length: Number(imageCount) }, (_unused, i) =>
  memoryImage({ id: `img_${String(i).padStart(26, '0')}`, name: `debian-12-${i}`, kind: 'template', digest: `sha256:${String(i).padStart(64, '0')}` }),
)
const sum = images.reduce((all, image) => withImage(all, { ...image, isOpen: isOpenImage(image) }, 1), NO_IMAGES)

function page(request: Request): Response {
  const query = new URL(request.url).searchParams
  if (query.get('status') === 'deleted') return Response.json({ items: [], next: null })
  const from = Number(query.get('cursor') ?? 0)
  const to = from + Number(query.get('limit') ?? 100)
  return Response.json({ items: images.slice(from, to), next: to < images.length ? String(to) : null })
}

for (const agent of fleet.agents) {
  agent.store = { ...agent.store, imagesFingerprint: fingerprintText(sum), images: { available: images.length, deleted: 0, other: 0 } }
  agent.answer = (request, path) => (path === 'v1/images' ? page(request) : undefined)
}
console.log(JSON.stringify(fleet.agents.map(({ name, url, token, zone, store }) => ({ name, url, token, zone, storeId: store.id }))))
let traffic: ReturnType<typeof setInterval> | undefined
let turn = 0
/** Lets one agent after the other report an event. */
function startTraffic(eventsPerSecond: number): void {
  clearInterval(traffic)
  traffic = setInterval(() => fleet.agents[turn++ % fleet.agents.length]?.emit(), 1000 / eventsPerSecond)
}
for await (const line of createInterface({ input: process.stdin })) {
  const [word, zone] = line.split(' ')
  if (word === 'hang') for (const agent of fleet.agents) if (agent.zone === zone) agent.hang()
  if (word === 'traffic') startTraffic(Number(zone))
  console.log(String(fleet.streams()))
}
await fleet[Symbol.asyncDispose]()
process.exit(0)
