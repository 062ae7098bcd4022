// Reports an error that no code handles. Everything acknowledged is already on disk, so nothing is saved here.

/**
 * Ends the program on an unhandled error with one sentence and the stack, instead of the runtime's report with an excerpt
 * of the source. Exit code 1: a supervisor restarts it.
 */
export function exitOnCrash(program: string): void {
  const crash = (error: unknown): void => {
    const { message, stack } = error instanceof Error ? error : { message: String(error), stack: undefined }
    const text = `${program} stopped because of an unexpected error: ${message}. Start it again, and report the error with the lines below.\n${stack ?? ''}\n`
    process.stderr.write(text, () => process.exit(1))
  }
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)
}
