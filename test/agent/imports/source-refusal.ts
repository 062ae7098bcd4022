// What an import from another server was refused with.

import { SourceInterrupted } from '../../../agent/imports/source.ts'
import { ProblemError } from '../../../protocol/problems.ts'

/** Returns the code and the sentence of a refusal, `interrupted` and its sentence, another error as text, or `no error`. */
export async function refusalOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => 'no error',
    (caught: unknown) => caught,
  )
  if (error instanceof ProblemError) return `${error.code}: ${error.message}`
  return error instanceof SourceInterrupted ? `interrupted: ${error.message}` : String(error)
}
