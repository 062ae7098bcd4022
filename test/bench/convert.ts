// Bench `convert`: an image that is stored as qcow2, sent as another format while it is converted, compared with the same image as it is stored.

import { join } from 'node:path'
import { qcowFamily } from '../support/images/image-family.ts'
import type { AgentProcess } from '../support/agents/agent-process.ts'
import { residentBytesMax } from '../support/agents/resident-memory.ts'
import { available, startBenchAgent, uploadByCurl } from './agent-load.ts'
import type { BenchContext } from './context.ts'
import type { Figure } from './figure.ts'
import { figure, median } from './figure.ts'
import { cpuSecondsOf, idle, removeFolder, run, timed } from './measure.ts'

const MB = 1e6

/** Measures downloads of v1 by curl. Rates count the bytes that the guest has written, which every format has, and no holes. */
export async function benchConvert(context: BenchContext): Promise<Figure[]> {
  const family = await qcowFamily(context.say)
  const folder = join(context.folder, 'agent')
  const allocated = await allocatedBytes(family.v1)
  const figures: Figure[] = []
  await using agent = await startBenchAgent(folder)
  for (const [name, file] of [
    ['qcow2', family.v1],
    ['compressed qcow2', family.v1Compressed],
  ] as const) {
    const { id } = await uploadByCurl(agent, file, name)
    await available(agent, id)
    await idle(agent.pid)
    for (const query of ['', '?as=raw', '?as=qcow2', '?as=vhd', '?as=vmdk']) {
      // Compressing takes many times as long, and its rate is that of deflate.
      const runs = query === '?as=vmdk' ? 1 : context.runs
      const seconds: number[] = []
      const before = cpuSecondsOf(agent.pid)
      for (let i = 0; i < runs; i++) seconds.push(await download(agent, id, query))
      const cpuSeconds = (cpuSecondsOf(agent.pid) - before) / runs
      const rate = allocated / MB / median(seconds)
      const what = `v1 stored as ${name}, ${query === '' ? 'not converted' : `sent ${query.slice(1)}`}`
      context.say(`${what}: ${rate.toFixed(0)} MB/s, ${cpuSeconds.toFixed(2)} CPU s`)
      figures.push(figure('convert', `${what}, allocated bytes`, rate, 'MB/s'), figure('convert', `${what}, time of the agent`, cpuSeconds, 'CPU s'))
    }
  }
  figures.push(figure('convert', 'resident memory of the agent at most', residentBytesMax(agent.pid) / MB, 'MB'))
  await agent.kill()
  removeFolder(folder)
  return figures
}

async function download(agent: AgentProcess, id: string, query: string): Promise<number> {
  const words = Object.entries(agent.headers()).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  const { seconds } = await timed(
    { line: ['curl', '-sS', '--fail', '-o', '/dev/null', ...words, `${agent.url}/v1/images/${id}/content${query}`] },
    agent.folder,
  )
  return seconds
}

/** Returns the bytes of clusters with data of a qcow2. */
async function allocatedBytes(path: string): Promise<number> {
  const map = JSON.parse(await run({ line: ['qemu-img', 'map', '-f', 'qcow2', '--output=json', path] })) as { data: boolean; length: number }[]
  return map.reduce((sum, { data, length }) => sum + (data ? length : 0), 0)
}
