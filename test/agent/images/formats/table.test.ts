// The table of images: each is accepted or refused for the named reason. Where it is safe, qemu-img must agree. qemu-img never sees an image that
// names other files or asks for much memory.

import { describe, expect, test } from 'bun:test'
import type { Inspection } from '../../../../agent/images/formats/inspection.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { inspectBytes, inspectFile } from '../../../support/images/inspected.ts'
import { hasTool, requireTool } from '../../../support/require.ts'
import type { TestFunction } from '../../../support/require.ts'
import { run } from './cases/format-case.ts'
import type { FormatCase } from './cases/format-case.ts'
import { FOREIGN_CASES } from './cases/foreign-cases.ts'
import { ISO_CASES } from './cases/iso-cases.ts'
import { PARTITION_CASES } from './cases/partition-cases.ts'
import { QCOW2_CASES } from './cases/qcow2-cases.ts'
import { QCOW2_HOSTILE_CASES } from './cases/qcow2-hostile-cases.ts'
import { RAW_CASES } from './cases/raw-cases.ts'
import { VMDK_CASES } from './cases/vmdk-cases.ts'

const TABLE: Readonly<Record<string, readonly FormatCase[]>> = {
  raw: RAW_CASES,
  qcow2: QCOW2_CASES,
  'hostile qcow2': QCOW2_HOSTILE_CASES,
  vmdk: VMDK_CASES,
  iso: ISO_CASES,
  partitions: PARTITION_CASES,
  foreign: FOREIGN_CASES,
}

const hasQemuImg = hasTool('qemu-img', 'qemu-utils')

describe.each(Object.entries(TABLE))('%s', (_format, cases) => {
  for (const row of cases) testOf(row)(row.name, () => checkCase(row), 60_000)
})

test('every image of the table has a name of its own', () => {
  const names = Object.values(TABLE).flatMap((cases) => cases.map(({ name }) => name))
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([])
})

function testOf({ needs = [] }: FormatCase): TestFunction {
  const missing = needs.find(([program, debianPackage]) => !hasTool(program, debianPackage))
  return missing ? requireTool(...missing) : test
}

async function checkCase({ make, declared, expected }: FormatCase): Promise<void> {
  await using folder = await createTemporaryFolder()
  const made = await make(folder)
  const file = typeof made === 'string' ? made : folder.file('image')
  if (typeof made !== 'string') await Bun.write(file, made)
  const found = typeof made === 'string' ? await inspectFile(made, declared ?? null) : await inspectBytes(made, declared ?? null)
  expect(shownOf(found)).toMatchObject(expected.kind === 'accepted' ? { kind: 'accepted' } : { kind: 'refused', refusal: expected.refusal })
  if (expected.kind === 'refused') {
    if (found.kind === 'refused') expect(found.reason).toContain(expected.says)
    if (expected.detected !== undefined) expect(found.details.detected).toBe(expected.detected)
  } else {
    expect(found.format).toBe(expected.format)
    if (expected.virtualSize !== undefined) expect(found.virtualSize).toBe(expected.virtualSize)
    if (expected.details) expect(found.details).toMatchObject(expected.details)
  }
  if (!hasQemuImg) return
  if (expected.kind === 'accepted') checkOracle(folder, { file, found, guess: expected.oracle ?? (expected.format === 'iso' ? 'raw' : expected.format) })
  else if (expected.oracle !== undefined) expect(probed(folder, file).format).toBe(expected.oracle)
}

/** Returns what a failed test should show: a refusal with its reason. */
function shownOf(found: Inspection): object {
  return found.kind === 'accepted' ? { kind: found.kind, format: found.format } : { kind: found.kind, refusal: found.refusal, reason: found.reason }
}

interface Probed {
  readonly format: string
  readonly 'virtual-size': number
  readonly 'cluster-size'?: number
}

function probed(folder: Parameters<typeof run>[0], file: string): Probed {
  return JSON.parse(run(folder, 'qemu-img', 'info', '--output=json', file)) as Probed
}

/** Checks that qemu-img guesses the same format and finds the same sizes, and no damage, in an accepted image. */
function checkOracle(folder: Parameters<typeof run>[0], { file, found, guess }: { file: string; found: Inspection; guess: string | false }): void {
  if (guess === false) return
  const seen = probed(folder, file)
  expect(seen.format).toBe(guess)
  // qemu-img counts whole sectors.
  if (found.virtualSize !== null) expect(Math.ceil(found.virtualSize / 512) * 512).toBe(seen['virtual-size'])
  if (found.format !== 'qcow2') return
  expect(found.details.clusterSize ?? undefined).toBe(seen['cluster-size'])
  run(folder, 'qemu-img', 'check', '-q', '-f', 'qcow2', file)
}
