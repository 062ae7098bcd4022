// `bun run bench <name…> [--json] [--runs N] [--peers a,b] [--lines direct,counted,slow] [--millions 1,10,40]
// [--random-mib N] [--large]`: runs ours and the peers on the same files and prints what each took;
// with --json one line for each figure on standard output and the table on standard error.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { imageFamily, testCacheFolder } from '../support/images/image-family.ts'
import { benchConvert } from './convert.ts'
import { benchCatalogue } from './catalogue.ts'
import { benchClients } from './clients.ts'
import type { BenchContext } from './context.ts'
import { randomFileIn } from './context.ts'
import { availablePeers, createSlipway, storeProgram } from './contestants.ts'
import type { Figure } from './figure.ts'
import { renderTable } from './figure.ts'
import { benchFleet } from './fleet.ts'
import { benchGateway } from './gateway.ts'
import { benchHttp } from './http.ts'
import { benchDedup, benchIngest } from './ingest.ts'
import { benchIndex } from './large-index.ts'
import { benchGc } from './maintenance.ts'
import { describeLoad, describeMachine, removeFolder } from './measure.ts'
import { benchPage } from './page.ts'
import { benchRead } from './read.ts'
import { benchSamples } from './samples.ts'
import { benchSync } from './sync/sync.ts'
import { benchTus } from './tus.ts'
import { benchVisibility } from './visibility.ts'

const BENCHES: Readonly<Record<string, (context: BenchContext) => Promise<Figure[]>>> = {
  ingest: benchIngest,
  dedup: benchDedup,
  read: benchRead,
  http: benchHttp,
  gc: benchGc,
  index: benchIndex,
  tus: benchTus,
  visibility: benchVisibility,
  catalogue: benchCatalogue,
  clients: benchClients,
  convert: benchConvert,
  sync: benchSync,
}

/** Benches that need no image files. */
const WITHOUT_FILES: Readonly<Record<string, () => Promise<Figure[]>>> = { fleet: benchFleet, gateway: benchGateway, page: benchPage, samples: benchSamples }

const MIB = 1024 * 1024
const RUNS_DEFAULT = 3
const RANDOM_MIB_DEFAULT = 512
const MILLIONS_DEFAULT = '1,10,40'

const { values, positionals } = parseArgs({
  args: process.argv.slice(2),
  options: {
    json: { type: 'boolean' },
    runs: { type: 'string' },
    peers: { type: 'string' },
    lines: { type: 'string' },
    millions: { type: 'string' },
    'random-mib': { type: 'string' },
    large: { type: 'boolean' },
  },
  allowPositionals: true,
})
const known = [...Object.keys(BENCHES), ...Object.keys(WITHOUT_FILES)]
const unknown = positionals.filter((name) => !known.includes(name))
if (positionals.length === 0 || unknown.length > 0) {
  console.error(`Name the benches to run: ${known.join(', ')}${unknown.length > 0 ? `. Unknown: ${unknown.join(', ')}` : ''}.`)
  process.exit(2)
}

const peerNames = values.peers?.split(',') ?? []
const say = (line: string): void => console.error(line)
const runs = Number(values.runs ?? RUNS_DEFAULT)
let context: BenchContext | undefined
const folder = join(testCacheFolder(), `bench-${process.pid}`)
mkdirSync(folder, { recursive: true })
try {
  const show = values.json ? say : (text: string): void => console.log(text)
  show(describeMachine())
  for (const name of positionals) {
    const figures = (await (WITHOUT_FILES[name]?.() ?? BENCHES[name]?.((context ??= await openContext())))) ?? []
    show(`\n${new Date().toISOString()}, ${describeLoad()}, ${name in WITHOUT_FILES ? 1 : runs} runs\n${renderTable(figures)}`)
    if (values.json) for (const one of figures) console.log(JSON.stringify(one))
  }
} finally {
  removeFolder(folder)
}

/** Makes the files and finds the peers that a bench needs. */
async function openContext(): Promise<BenchContext> {
  return {
    family: await imageFamily(say),
    ours: createSlipway(),
    peers: positionals.every((name) => name === 'sync') ? [] : await availablePeers(peerNames, say),
    peerNames,
    lines: values.lines?.split(',') ?? [],
    program: storeProgram,
    millions: (values.millions ?? MILLIONS_DEFAULT).split(',').map(Number),
    isLarge: values.large ?? false,
    folder,
    runs: Number(values.runs ?? RUNS_DEFAULT),
    randomBytes: Number(values['random-mib'] ?? RANDOM_MIB_DEFAULT) * MIB,
    say,
    randomFile: async (name, length) => randomFileIn(folder, name, length),
  }
}
