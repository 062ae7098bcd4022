// test/mutants.json: mutants that no test can kill because the program does the same with them, each with the reason.

import { existsSync, readFileSync } from 'node:fs'
import { z } from 'zod'
import type { Mutant } from './mutants.ts'

export const EQUIVALENTS_FILE = 'test/mutants.json'

const equivalentSchema = z.strictObject({
  file: z.string().min(1),
  operator: z.string().min(1),
  /** The two lines of the diff as the run prints them. */
  before: z.string(),
  after: z.string(),
  reason: z.string().min(20),
})

const equivalentsSchema = z.strictObject({ equivalent: z.array(equivalentSchema) })

export type Equivalent = z.infer<typeof equivalentSchema>

/** Reads the list; empty without the file. Throws with zod's sentence if it is not of this shape. */
export function readEquivalents(path: string): readonly Equivalent[] {
  if (!existsSync(path)) return []
  return equivalentsSchema.parse(JSON.parse(readFileSync(path, 'utf8'))).equivalent
}

/** Whether an entry names a mutant. Lines may have moved; the changed text must be the same. */
export function isListed(equivalent: Equivalent, mutant: Mutant): boolean {
  return equivalent.file === mutant.file && equivalent.operator === mutant.operator && equivalent.before === mutant.before && equivalent.after === mutant.after
}

/** Returns the entries that name no mutant any more. */
export function staleEntries(equivalents: readonly Equivalent[], mutantsOfFile: (file: string) => readonly Mutant[]): Equivalent[] {
  return equivalents.filter((equivalent) => !mutantsOfFile(equivalent.file).some((mutant) => isListed(equivalent, mutant)))
}
