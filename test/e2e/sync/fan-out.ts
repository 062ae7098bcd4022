// Many targets copy one image through two stores: both copy it from the source, and the targets name both as their sources. In the middle one of the
// two stores stops. Proxies count what the source and the stores send. The arguments are the number of targets and the length of the image in MiB.
//
//   bun test/e2e/sync/fan-out.ts 200 8 > docs/fan-out.svg
//
// Stores are the parts of real agents, each with its own disk folder and its own server on loopback, in this process: 200 agents would not fit
// into this machine. fan-out.test.ts calls `copyToMany`.

import { createHash } from 'node:crypto'
import { createCuttingProxy } from '../../support/clients/cutting-proxy.ts'
import type { CuttingProxy } from '../../support/clients/cutting-proxy.ts'
import { serveImages } from '../../support/agents/image-server.ts'
import { openSyncTarget } from '../../support/agents/sync-target.ts'
import type { SyncTarget } from '../../support/agents/sync-target.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import type { ImageStore } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { PromiseBroken } from '../../support/agents/ledger.ts'
import { fanOutChart } from './fan-out-chart.ts'

const MIB = 1024 * 1024
/** Stores between the source and the targets. */
const STORES = 2
/** Targets that copy at the same time. */
const PARALLEL = 12
/** Downloads that a store serves at the same time. */
const DOWNLOADS = 8

/** What was sent when so many targets had the image, in multiples of its length. */
export interface FanOutPoint {
  readonly targets: number
  readonly source: number
  readonly stores: number
}

export interface FanOutReport {
  readonly targets: number
  readonly length: number
  /** Multiples of the image that the source and both stores together have sent at the end. */
  readonly source: number
  readonly stores: number
  readonly seconds: number
  readonly points: readonly FanOutPoint[]
}

/** Copies an image to all targets. Throws PromiseBroken if a target does not get it, or gets other bytes. */
export async function copyToMany(targets: number, length: number, say: (line: string) => void): Promise<FanOutReport> {
  await using own = new AsyncDisposableStack()
  const bytes = seededBytes(length, 7)
  const digest = createHash('sha256').update(bytes).digest('hex')
  const store = own.use(await openImageStore(own.use(await createTemporaryFolder())))
  const { id } = await store.add(bytes, { name: 'debian' })
  const source = await serve(own, store, idOf(0))
  const startedMs = performance.now()
  const between: CuttingProxy[] = []
  for (let i = 1; i <= STORES; i++) {
    const one = own.use(await openSyncTarget(own.use(await createTemporaryFolder()), { storeId: idOf(i) }))
    await pull(one, [source.url], id)
    between.push(await serve(own, one.store, idOf(i)))
  }

  const sent = (proxies: readonly CuttingProxy[]): number => proxies.reduce((sum, { bytes: { down } }) => sum + down, 0) / length
  const points: FanOutPoint[] = [{ targets: 0, source: sent([source]), stores: 0 }]
  const urls = between.map(({ url }) => url)
  let next = 0
  const copyNext = async (): Promise<void> => {
    while (next < targets) {
      const number = next++
      // From the middle on the first store is gone: connections to it are refused by a port on which nothing listens.
      if (number === Math.floor(targets / 2)) stop(between[0])
      await using folder = await createTemporaryFolder()
      await using target = await openSyncTarget(folder, { storeId: idOf(STORES + 1 + number) })
      await pull(target, number % 2 === 0 ? urls : urls.toReversed(), id)
      const read = createHash('sha256')
        .update(await target.store.read(id))
        .digest('hex')
      if (read !== digest) throw new PromiseBroken(`target ${number} has other bytes`)
      points.push({ targets: points.length, source: sent([source]), stores: sent(between) })
      if (points.length % 20 === 0) say(`${points.length} targets, the source sent ${sent([source]).toFixed(2)} images`)
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, copyNext))
  return { targets, length, source: sent([source]), stores: sent(between), seconds: (performance.now() - startedMs) / 1000, points }
}

async function pull({ sync, tasks }: SyncTarget, urls: readonly string[], image: string): Promise<void> {
  const { id } = await sync.start({ sources: urls.map((url) => ({ url, token: 'viewer' })), images: [image] }, 'test')
  const { state, error } = await tasks.ended(id)
  if (state !== 'succeeded') throw new PromiseBroken(`a sync ${state}: ${JSON.stringify(error)}`)
}

async function serve(own: AsyncDisposableStack, store: ImageStore, storeId: string): Promise<CuttingProxy> {
  const { port } = own.use(await serveImages(store, { downloads: DOWNLOADS, storeId }))
  return own.use(await createCuttingProxy(port))
}

/** Ends what a store sends, and all later connections to it. */
function stop(store: CuttingProxy | undefined): void {
  store?.setFaults({ cutAfter: 0 })
  store?.cutAll()
}

function idOf(number: number): string {
  return `0a7b4f5e-30c8-4b6f-9a3a-${String(number).padStart(12, '0')}`
}

if (import.meta.main) {
  const [targets = 200, mib = 8] = process.argv.slice(2).map(Number)
  const report = await copyToMany(targets, mib * MIB, (line) => console.error(line))
  console.error(JSON.stringify({ ...report, points: report.points.length }))
  console.log(fanOutChart(report.points))
}
