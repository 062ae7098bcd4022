// Exports: a task writes an image as a file into exports/ on the mount path. An image has at most one export.
//
// Order: record `writing` durable → task durable → file written to <id>.part and synced → record `placing` with name and length durable → an empty file
// takes the name, which fails if the name is taken → the part is renamed over it → record `ready` durable. recover.ts continues after a crash.

import type { Export, ExportPlan } from '../../protocol/images/export.ts'
import { newId } from '../../protocol/ids.ts'
import { problem, ProblemError } from '../../protocol/problems.ts'
import type { Task } from '../../protocol/task.ts'
import { formatTime } from '../../protocol/time.ts'
import type { ExportOrder, Exports } from '../contract/exports.ts'
import { createInOrderByKey } from '../contract/in-order.ts'
import { change, discard, requireNone, reserve, save, spaceLacking } from './export-parts.ts'
import type { ExportsDeps, Parts } from './export-parts.ts'
import { exportName } from './file-name.ts'
import { createRecordFiles, recordSchema } from './record-files.ts'
import type { ExportRecord } from './record-files.ts'
import { recoverExports, removeExportedFile } from './recover.ts'
import { runExport } from './run-export.ts'

/** Most exports of a store. */
export const EXPORTS_MAX = 10_000
/** Removes what a crash left of exports, and registers the task `export`. To be called before tasks run. */
export async function openExports(deps: ExportsDeps): Promise<Exports> {
  const { disk, clock, log, mount, tasks } = deps
  const files = createRecordFiles({ disk, log, mount })
  const isTaskActive = (id: string): boolean => tasks.get(id)?.endedAt === null
  const remaining = await recoverExports({ disk, clock, log, files, isTaskActive })
  const parts: Parts = { ...deps, files, table: new Map(remaining.map((record) => [record.id, record])), saves: createInOrderByKey() }
  const starts = createInOrderByKey()
  tasks.register('export', async (params, context) => ({ ...(await runExport(parts, recordSchema.parse(params), context)) }))
  return {
    start: (order, signal) => starts.run(order.image.id, () => startExport(parts, order, signal)),
    plan: (order, signal) => planExport(parts, order, signal),
    list: () => [...parts.table.values()].map(shown).toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    find(id) {
      const record = parts.table.get(id)
      return record && shown(record)
    },
    delete: (id, actor) => starts.run(parts.table.get(id)?.image ?? id, () => deleteExport(parts, id, actor)),
  }
}

function shown({ stage, format: _format, ...record }: ExportRecord): Export {
  return { ...record, state: stage === 'placing' ? 'writing' : stage, path: `exports/${record.name}` }
}

async function startExport(parts: Parts, { image, as, createdBy }: ExportOrder, signal: AbortSignal | undefined): Promise<Task> {
  const { clock, log, images, converter, table } = parts
  requireRoom(parts, image.id)
  const record: ExportRecord = {
    format: 1,
    id: newId('exp', clock.nowMs()),
    image: image.id,
    imageName: image.name,
    as: as ?? null,
    stage: 'writing',
    name: exportName(image, as),
    length: null,
    task: null,
    createdBy,
    createdAt: formatTime(clock.nowMs()),
    readyAt: null,
  }
  {
    using content = await images.open(image.id)
    const conversion = await converter.open(image, content, as ?? 'asStored', signal)
    await reserve(parts, record, conversion, signal)
  }
  const task = await startTask(parts, record)
  try {
    // A task that has failed already has removed the record.
    if (table.has(record.id)) await change(parts, record.id, { task: task.id })
  } catch (error) {
    // The task runs all the same. If the agent crashes, the next start removes this record, and the task writes it again.
    log.warn('the task of an export could not be noted', { export: record.id, task: task.id, error })
  }
  return task
}

/** Throws ProblemError `already-exported` or `limit-reached` if the image cannot get an export now. */
function requireRoom(parts: Parts, image: string): void {
  requireNone(parts, image)
  if (parts.table.size >= EXPORTS_MAX)
    throw problem('limit-reached', `The store has ${EXPORTS_MAX} exports.`, { action: 'Delete exports that are not needed any more.' })
}

async function planExport(parts: Parts, { image, as }: Omit<ExportOrder, 'createdBy'>, signal: AbortSignal | undefined): Promise<ExportPlan> {
  const { images, converter, space } = parts
  const objections: string[] = []
  try {
    requireRoom(parts, image.id)
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error
    objections.push(error.problem.detail)
  }
  using content = await images.open(image.id)
  const conversion = await converter.open(image, content, as ?? 'asStored', signal)
  const neededBytes = await conversion.measure(signal)
  const { availableBytes } = await space.state()
  if (neededBytes > availableBytes) objections.push(spaceLacking(image.name, neededBytes, availableBytes))
  return {
    dryRun: true,
    image: image.id,
    imageName: image.name,
    as: as ?? null,
    path: `exports/${exportName(image, as)}`,
    length: conversion.kind === 'seekable' ? conversion.length : null,
    space: { neededBytes, availableBytes },
    objections,
  }
}

/** Writes the record of an export and starts its task. If either fails, nothing is left. */
async function startTask(parts: Parts, record: ExportRecord): Promise<Task> {
  const { tasks, crashPoint } = parts
  try {
    await save(parts, record)
    crashPoint('exports:recorded')
    return await tasks.start({ kind: 'export', subject: record.image, createdBy: record.createdBy, params: record })
  } catch (error) {
    await discard(parts, record.id)
    throw error
  }
}

async function deleteExport(parts: Parts, id: string, actor: string): Promise<void> {
  const { disk, emit, files, table, crashPoint } = parts
  const record = table.get(id)
  if (!record) throw problem('not-found', `There is no export ${id}.`)
  if (record.stage === 'writing' || record.stage === 'placing')
    throw problem('wrong-status', `The export of ${record.imageName} is being written.`, { action: `Cancel its task first: task cancel ${record.task ?? ''}` })
  const marked = await change(parts, id, { stage: 'deleting' })
  crashPoint('exports:delete-marked')
  const wasThere = await removeExportedFile(disk, files, marked)
  crashPoint('exports:file-removed')
  await files.remove(id)
  table.delete(id)
  emit({
    type: 'export.deleted',
    severity: 'info',
    subject: record.image,
    actor,
    message: wasThere
      ? `The export exports/${record.name} of image ${record.imageName} was deleted.`
      : `The record of the export exports/${record.name} of image ${record.imageName} was deleted; the file itself was gone or had been replaced.`,
    details: { export: id },
  })
}
