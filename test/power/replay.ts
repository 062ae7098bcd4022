// Records one workload, and tries disk states of it: mounts each, starts the agent on it, and checks everything that was acknowledged.

import { existsSync, statfsSync } from 'node:fs'
import { AgentNotStarted, startAgent } from '../support/agents/agent-process.ts'
import type { AgentProcess } from '../support/agents/agent-process.ts'
import { PromiseBroken } from '../support/agents/ledger.ts'
import { createRandom } from '../support/properties.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../support/machine/temporary-folder.ts'
import { until } from '../support/until.ts'
import { planCuts, writeDiskState } from './disk-states.ts'
import type { Places, PowerCut } from './disk-states.ts'
import { expectAt } from './expectation.ts'
import { History } from './history.ts'
import { DiskStateUnmountable, mountDisk, recordDisk } from './recorded-disk.ts'
import type { FileSystem } from './recorded-disk.ts'
import { createWorkload } from './workload.ts'
import type { SyncSource, Workload } from './workload.ts'
import { openWriteLog } from './write-log.ts'
import type { WriteLog } from './write-log.ts'

const CONFIG = '[transfer]\nupload-concurrency = 4\ndownload-concurrency = 4\n'
/** A folder in memory. An agent refuses it as a mount path. */
const MEMORY_FOLDER = '/dev/shm'
/** Disk states are stored in memory when this many bytes are free there. */
const MEMORY_BYTES_MIN = 4 * 1024 * 1024 * 1024

/** Length of an image that is stored between the two starts: records after damage must be kept, in more than one window of 4 MiB. */
const NEW_IMAGE_BYTES = 12 * 1024 * 1024
/** Bytes of an agent's log that are shown with a finding. */
const LOG_BYTES_MAX = 6000

/** A workload whose disk was recorded. Disposing removes its files. */
export interface Recording extends AsyncDisposable {
  readonly fileSystem: FileSystem
  readonly base: string
  readonly log: WriteLog
  readonly history: History
  /** Choices of the clients by kind. */
  readonly counts: Readonly<Record<string, number>>
  readonly agentLog: string
}

/** When a workload ends: at the number of acknowledgements, and on a slow machine at the time in milliseconds. */
export interface WorkloadLength {
  readonly acknowledgements: number
  readonly msMax: number
}

export interface RecordOptions {
  readonly fileSystem: FileSystem
  readonly seed: number
  readonly length: WorkloadLength
  readonly source?: SyncSource
  /** Another program than the agent of this checkout, such as one with a planted defect. */
  readonly command?: readonly string[]
}

/** A state that violates an acknowledgement. */
export interface Finding {
  readonly cut: PowerCut
  readonly message: string
  /** Whether the file system itself refused to mount the state. The agent never ran. */
  readonly isUnmountable: boolean
}

/** Runs the workload on a recorded disk. */
export async function recordWorkload({ fileSystem, seed, length, source, command }: RecordOptions): Promise<Recording> {
  await using stack = new AsyncDisposableStack()
  const files = stack.use(await createFilesFolder())
  const recorded = await (async () => {
    await using mountPoint = await createTemporaryFolder()
    await using disk = await recordDisk(files.path, mountPoint.path, fileSystem)
    await using agent = await startAgent(disk.path, { config: CONFIG, ...(command ? { command } : {}) })
    const history = new History(disk.position)
    const workload = createWorkload(agent, history, source, createRandom(seed))
    try {
      await runKilled(agent, workload, history, length)
    } catch (error) {
      throw new Error(`the workload failed, SLIPWAY_SEED=${seed}: ${String(error)}\n${troubleIn(agent)}`, { cause: error })
    }
    const { counts } = workload
    return { base: disk.base, logFile: disk.log, history, counts, agentLog: agent.log() }
  })()
  const { logFile, ...kept } = recorded
  const log = openWriteLog(logFile)
  const owned = stack.move()
  return { ...kept, fileSystem, log, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/**
 * Runs the workload with a SIGKILL in its middle. What the killed process left in the page cache looks durable to the next one: it must
 * sync it before it relies on it.
 */
async function runKilled(agent: AgentProcess, workload: Workload, history: History, { acknowledgements, msMax }: WorkloadLength): Promise<void> {
  const endMs = performance.now() + msMax
  let isKilled = false
  const first = workload.run(() => isKilled)
  await Promise.race([first, until('half of the workload is done', () => history.acknowledged.length >= acknowledgements / 2, msMax / 2).catch(() => {})])
  isKilled = true
  await agent.kill()
  await first
  await agent.restart()
  await workload.run(() => history.acknowledged.length >= acknowledgements || performance.now() > endMs)
}

/** Chooses states of a recording by seed. */
export function planStates({ log, history }: Recording, count: number, seed: number, places?: Places): PowerCut[] {
  return planCuts(log, history.acknowledged, count, createRandom(seed), places)
}

/** Tries one state; returns the finding, or undefined. */
export async function tryState(recording: Recording, cut: PowerCut): Promise<Finding | undefined> {
  await using files = await createFilesFolder()
  await using mountPoint = await createTemporaryFolder()
  let agent: AgentProcess | undefined
  try {
    const file = files.file('disk')
    await writeDiskState(recording.base, recording.log, cut, file)
    await using _disk = await mountDisk(file, recording.fileSystem, mountPoint.path)
    await using started = await startAgent(mountPoint.path, { config: CONFIG })
    agent = started
    await holdToHistory(agent, recording.history, cut)
    return undefined
  } catch (error) {
    const isUnmountable = error instanceof DiskStateUnmountable
    if (error instanceof AgentNotStarted) return { cut, message: error.message, isUnmountable }
    const log = agent ? troubleIn(agent) : ''
    return { cut, isUnmountable, message: `${error instanceof PromiseBroken ? error.message : Bun.inspect(error)}\n${log}` }
  }
}

/** Starts twice and compares everything after each start; uses the store in between; then runs scrub and gc. */
async function holdToHistory(agent: AgentProcess, history: History, cut: PowerCut): Promise<void> {
  const random = createRandom(cut.seed)
  const expectation = expectAt(history, cut.position)
  await expectation.compare(agent)
  await expectation.finishUploads(agent, () => random.chance(0.5))
  await expectation.addImage(agent, 'new after the cut', new Uint8Array(random.bytes(NEW_IMAGE_BYTES)))
  await agent.restart()
  await expectation.compare(agent)
  await runTask(agent, 'scrub')
  await expectation.finishUploads(agent, () => true)
  await expectation.restoreBinned(agent)
  await runTask(agent, 'cleanup')
  await expectation.compare(agent)
}

async function runTask(agent: AgentProcess, name: 'scrub' | 'cleanup'): Promise<void> {
  const { id } = await agent.client.schedules.run(name)
  const { state, error, result } = await until(`${name} has ended`, async () => {
    const task = await agent.client.tasks.get(id)
    return task.endedAt === null ? undefined : task
  })
  if (state !== 'succeeded') throw new PromiseBroken(`${name} ${state}: ${error?.detail}`)
  const damage = ['corruptCount', 'missingCount'].some((key) => Number(result?.[key] ?? 0) > 0) || (result?.['faults'] as unknown[] | undefined)?.length
  if (name === 'scrub' && damage) throw new PromiseBroken(`scrub is not clean: ${JSON.stringify(result)}`)
}

/** Returns the last warnings and errors of an agent's log. */
function troubleIn(agent: AgentProcess): string {
  return agent
    .log()
    .split('\n')
    .filter((line) => !line.startsWith('{"level":30,'))
    .join('\n')
    .slice(-LOG_BYTES_MAX)
}

/** Creates a folder for disks, in memory if there is space, because every flush of a replayed disk would wait for the real disk. */
function createFilesFolder(): Promise<TemporaryFolder> {
  return createTemporaryFolder(hasMemory() ? MEMORY_FOLDER : undefined)
}

function hasMemory(): boolean {
  if (!existsSync(MEMORY_FOLDER)) return false
  const { bavail, bsize } = statfsSync(MEMORY_FOLDER)
  return bavail * bsize > MEMORY_BYTES_MIN
}
